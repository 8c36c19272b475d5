"""Four panes: all of them where there is room, elsewhere the one in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

WIDE, HIGH = 110, 34
"""Cells of the terminal from which all four are shown at once."""
TWO_HIGH = 20
"""From which there is room for two."""


class Quarters(Container):
    """``inner`` says by the name of a pane what has the focus in it; ``beside`` which pane is shown under another."""

    def __init__(self, inner: Mapping[str, str], beside: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._inner, self._beside = inner, beside or {}
        self._front = next(iter(inner))

    def on_mount(self) -> None:
        self._arrange()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def bring(self, name: str) -> None:
        """Bring a pane to the front."""
        self._front = name
        self._arrange()

    def bring_next(self) -> None:
        """Bring the next pane to the front."""
        names = list(self._inner)
        self.bring(names[(names.index(self._front) + 1) % len(names)])

    def _arrange(self) -> None:
        width, height = self.app.size
        everything = width >= WIDE and height >= HIGH
        self.set_class(everything, "wide")
        shown = {self._front, self._beside.get(self._front, "")} if height >= TWO_HIGH else {self._front}
        for name in self._inner:
            self.query_one(f"#{name}").display = everything or name in shown
        self.query_one(self._inner[self._front]).focus()


def pane_keys(names: Sequence[str]) -> list[BindingType]:
    """Tab and the digits, for screens that have such panes."""
    return [
        Binding("tab", "next_pane", "Pane"),
        *(Binding(str(i), f"pane('{name}')", name.title(), show=False) for i, name in enumerate(names, 1)),
    ]


class FourPanes(Screen[None]):
    """A screen with ``Quarters`` and the keys of ``pane_keys``."""

    def action_pane(self, name: str) -> None:
        """Bring a pane to the front."""
        self.query_one(Quarters).bring(name)

    def action_next_pane(self) -> None:
        """The next pane."""
        self.query_one(Quarters).bring_next()
