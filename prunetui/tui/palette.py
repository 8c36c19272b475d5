"""The keys of a screen as commands of the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from prunetui.tui.screens.help import SILENT


def key_commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """Everything that has a key on a screen, each action once."""
    told: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        own = active.node is screen and binding.description and active.enabled
        if own and binding.action not in told and not binding.action.startswith(SILENT):
            told.add(binding.action)
            doc = getattr(screen, f"action_{binding.action.partition('(')[0]}", None).__doc__ or ""

            def run(action: str = binding.action, node: Any = active.node) -> None:
                app.call_later(app.run_action, action, node)  # once the palette is gone

            yield SystemCommand(f"{binding.description} ({binding.key_display or binding.key})", doc, run)
