"""The line of keys: as many as there is room for, help and quit always."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey, FooterLabel

ALWAYS = ("leave", "help")
"""Actions whose keys are shown however narrow the terminal is: help lists all the others."""


class Keys(Footer):
    """The keys of a screen in the order of its bindings; where there is little room the last ones are left out."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        shown = []
        for widget in super().compose():
            shown.append(widget)
            yield widget
        self._fit(shown)  # nothing is mounted before all is composed

    def on_resize(self, event: events.Resize) -> None:
        self._fit(self.query("*"))

    def _fit(self, shown: Iterable[Widget]) -> None:
        widgets = list(shown)
        keys = [key for key in widgets if isinstance(key, FooterKey)]
        fixed = [key for key in keys if key.action in ALWAYS or not key.description]
        room = self.app.size.width + 1 - sum(map(_width, fixed))
        room -= sum(len(str(label.content)) + 3 for label in widgets if isinstance(label, FooterLabel))
        for key in keys:
            if key not in fixed:
                room -= _width(key)
                key.display = room >= 0


def _width(key: FooterKey) -> int:
    return len(key.key_display) + len(key.description) + 2
