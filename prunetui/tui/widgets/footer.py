"""The line of keys: as many as there is room for, help and quit always."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

ALWAYS = ("leave", "help")
"""Actions whose keys are shown however narrow the terminal is: help lists all the others."""


class Keys(Footer):
    """The keys of a screen in the order of its bindings; where there is little room the last ones are left out."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        keys = list(super().compose())
        self._fit(keys)
        yield from keys

    def on_resize(self, event: events.Resize) -> None:
        self._fit(self.children)

    def _fit(self, shown: Sequence[Widget]) -> None:
        keys = [key for key in shown if isinstance(key, FooterKey)]
        room = self.app.size.width + 1 - sum(_width(key) for key in keys if key.action in ALWAYS)
        for key in keys:
            if key.action not in ALWAYS:
                room -= _width(key)
                key.display = room >= 0


def _width(key: FooterKey) -> int:
    return len(key.key_display) + len(key.description) + 2
