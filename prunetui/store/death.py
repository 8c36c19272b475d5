"""How a run ended whose process is gone without a word: what can still be known of it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prunetui import events
from prunetui.files.regular import open_regular

if TYPE_CHECKING:
    from prunetui.store.status import Status

READ_BYTES = 128 << 10
"""From the end of the events: the last step stands there but for very long epochs."""


def death(folder: Path, status: Status) -> str:
    """When, how and at what step the process of a run was lost, in a line."""
    here = status.host == socket.gethostname()
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.heartbeat))
    how = "its machine was restarted" if here and _restarted_since(status.heartbeat) else "its process was killed"
    if not here:
        how = f"nothing is heard of its process on {status.host}"
    at = _last_step(folder)
    return f"{how} after {when}" + (f", {at}" if at else "")


def _restarted_since(moment: float) -> bool:
    import psutil

    return bool(moment < psutil.boot_time() - 5)


def _last_step(folder: Path) -> str:
    """``in the step '...' of TRIAL``; empty when no step was under way."""
    try:
        with os.fdopen(open_regular(folder / "events.jsonl"), "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - READ_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return ""
    finished: set[str] = set()
    for event in map(events.from_json, reversed(lines)):
        if isinstance(event, events.StepFinished):
            finished.add(event.key)
        elif isinstance(event, events.StepStarted) and event.key not in finished:
            return f"in the step '{event.label}' of {event.trial}"
        elif isinstance(event, events.RunStarted):
            return ""
    return ""
