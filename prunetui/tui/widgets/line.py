"""A line that changes several times a second while a run trains, which should have the processor."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import Static


class OneLine(Static):
    """Text in one row: another one does not lay the screen out anew, and the same one costs nothing."""

    DEFAULT_CSS = "OneLine { height: 1; }"

    def __init__(self, **more: Any) -> None:
        super().__init__("", **more)
        self._shown = Text()

    def show(self, text: Text) -> None:
        """Say something, if it is something else."""
        if text != self._shown:
            self._shown = text
            self.update(text, layout=False)
