"""Whether the code that a run names is to be run: asked once, where nobody here has named it in a study."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.app import App

from prunetui.execute.trusted_code import trust, untrusted_code
from prunetui.store import Run
from prunetui.tui.screens.dialogs import Choice


async def is_trusted(app: App[Any], run: Run) -> bool:
    """Whether a run may be executed; asks where it names code of somebody's."""
    named = await asyncio.to_thread(untrusted_code, run)
    if not named:
        return True
    question = f"The run {run.id} comes from elsewhere and names code of {' and '.join(named)}, which resuming it runs."
    answers = [("trust", "Run it: I trust who made this run"), ("cancel", "Cancel")]
    if await app.push_screen_wait(Choice("Resume", question, answers)) != "trust":
        return False
    await asyncio.to_thread(trust, run)
    return True
