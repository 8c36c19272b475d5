"""A table under a line to filter it with, which is there only while something is typed."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from prunetui.tui.widgets.virtual_table import VirtualTable


class Filtered(Vertical):
    """Gives what is typed by message; the rows are chosen by whoever has them."""

    class Changed(Message):
        """Something else is typed."""

    def __init__(self, table: VirtualTable[Any], title: str, placeholder: str, **more: Any) -> None:
        super().__init__(classes="panel", **more)
        self.table = table
        self.border_title = title
        self._box = Input(placeholder=placeholder, classes="filter")
        self._box.display = False

    def compose(self) -> ComposeResult:
        yield self._box
        yield self.table

    @property
    def typed(self) -> str:
        """What the rows are to fit."""
        return self._box.value

    def open(self, value: str | None = None) -> None:
        """Let something be typed; a ``value`` is taken as typed."""
        self._box.display = True
        if value is None:
            self._box.focus()
        else:
            self._box.value = value
            self.table.focus()

    def close(self) -> bool:
        """Forget the filter; False when there was none."""
        there = bool(self._box.display)
        if there:
            self._box.value = ""
            self._box.display = False
            self.table.focus()
        return there

    def count(self, shown: int, every: int) -> None:
        """Tell how many rows there are."""
        self.border_subtitle = f"{shown} of {every}" if self.typed else f"{every}"

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()
