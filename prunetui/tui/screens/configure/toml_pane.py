"""The TOML of a study, with its lines numbered and the wrong ones marked."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from prunetui.tui.screens.configure.draft_checks import Checked


class Toml(VerticalScroll, can_focus=True):
    """What was set, or everything with its defaults."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
    ]

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.full = False

    def compose(self) -> ComposeResult:
        yield Static("", classes="lines")

    def show(self, checked: Checked) -> None:
        """Another text; in full only when it is right."""
        full = self.full and bool(checked.full)
        text = Text("every key\n\n" if full else "what differs from the defaults; v shows every key\n\n", "dim")
        wrong = {} if full else {mistake.line: mistake.message for mistake in checked.mistakes}
        for number, line in enumerate((checked.full if full else checked.text).splitlines(), 1):
            text.append(f"{number:3} ", "dim not bold" if number not in wrong else "bold #ff6b5e")
            text.append(line, "bold" if line.startswith("[") else "not dim")
            text.append(f"   ! {wrong[number]}" if number in wrong else "", "bold #ff6b5e")
            text.append("\n")
        self.query_one(".lines", Static).update(text)
