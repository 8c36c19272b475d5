"""One of several values on one line: left and right go through them, enter lists them, delete forgets the choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from prunetui.tui.screens.dialogs import Choice

UNSET = "(unset)"


class Pick(Widget, can_focus=True):
    """A choice that may be left open: then ``silent`` holds. Of a switch the choices are True and False."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous", show=False),
        Binding("right,l,space", "step(1)", "Next", show=False),
        Binding("enter", "list", "List", show=False),
        Binding("delete,backspace", "forget", "Default", show=False),
    ]

    class Changed(Message):
        """Another value; None is left open."""

        def __init__(self, pick: Pick, value: Any) -> None:
            self.pick, self.value = pick, value
            super().__init__()

    def __init__(
        self,
        choices: tuple[Any, ...],
        value: Any,
        silent: Any,
        words: str,
        told: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.told = told or {}
        self.silent, self.silent_words = silent, words
        self.choices = choices if value is None or value in choices else (*choices, value)
        self.value = value

    @property
    def is_switch(self) -> bool:
        return self.choices == (True, False)

    def render(self) -> Text:
        value = self.silent if self.value is None and self.is_switch else self.value
        if self.is_switch:
            shown = Text(
                f"[{'x' if value else ' '}] {'yes' if value else 'no'}", "" if self.value is not None else "dim"
            )
        elif self.value is None:
            shown = Text(self.silent_words, "dim")
        else:
            shown = Text(str(self.value))
        edges = "bold" if self.has_focus else "dim"
        return shown if self.is_switch else Text.assemble(("< ", edges), shown, (" >", edges))

    def take(self, value: Any) -> None:
        """Choose, and tell if it is another choice."""
        if value != self.value or type(value) is not type(self.value):
            self.value = value
            self.refresh()
            self.post_message(self.Changed(self, value))

    def action_step(self, by: int) -> None:
        """The next choice or the one before; leaving it open is one of them, except for a switch."""
        if self.is_switch:
            value = not (self.silent if self.value is None else self.value)
            self.take(None if value == self.silent else value)
            return
        turns = [None, *self.choices]
        self.take(turns[(turns.index(self.value) + by) % len(turns)])

    def action_forget(self) -> None:
        """Leave it open."""
        self.take(None)

    def action_list(self) -> None:
        """Choose from the list of all."""
        if self.is_switch:
            self.action_step(1)
            return
        answers = [(UNSET, self.silent_words), *((str(c), self._told(str(c))) for c in self.choices)]

        def chosen(answer: str | None) -> None:
            if answer is not None:
                self.take(None if answer == UNSET else answer)

        self.app.push_screen(Choice(str(self.border_title or "Choose"), "", answers), chosen)

    def _told(self, choice: str) -> str:
        return f"{choice}: {self.told[choice]}" if choice in self.told else choice

    def on_click(self, event: events.Click) -> None:
        self.focus()
        self.action_list()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
