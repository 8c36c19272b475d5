"""The line of keys: as many as there is room for, help and quit always.

One widget that draws a line. Textual's footer is a widget for each key, all of them made anew whenever the focus moves
or another run is under the cursor; that takes as long as everything else on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

ALWAYS = ("leave", "help")
"""Actions whose keys are shown however narrow the terminal is: help lists all the others."""


@dataclass(frozen=True)
class Hint:
    """What a key does, or what several do together; a key is its name and how it is shown."""

    keys: tuple[tuple[str, str], ...]
    words: str
    always: bool = False

    @property
    def width(self) -> int:
        """Cells, with one behind it."""
        return sum(len(shown) + 1 for _, shown in self.keys) + len(self.words) + 1


class Keys(Widget):
    """The keys of a screen in the order of its bindings; where there is little room the last ones are left out."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key"}

    def __init__(self) -> None:
        super().__init__()
        self._hints: tuple[Hint, ...] = ()

    @property
    def shown(self) -> list[Hint]:
        """Those that there is room for."""
        room = self.size.width - sum(hint.width for hint in self._hints if hint.always)
        chosen = []
        for hint in self._hints:
            room -= 0 if hint.always else hint.width
            if hint.always or room >= 0:
                chosen.append(hint)
        return chosen

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._changed(self.screen)

    def _changed(self, screen: Screen[Any]) -> None:
        hints = tuple(_hints([active.binding for active in screen.active_bindings.values()], self.app.get_key_display))
        if hints != self._hints and screen.app.app_focus:
            self._hints = hints
            self.refresh()

    def render_line(self, y: int) -> Strip:
        style, key_style = self.rich_style, self.get_component_rich_style("keys--key")
        segments = []
        for hint in self.shown:
            segments += [Segment(f"{key} ", key_style) for _, key in hint.keys]
            segments.append(Segment(f"{hint.words} ", style))
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        place = event.x
        for hint in self.shown:
            for key, shown in hint.keys:
                place -= len(shown) + 1
                if place < 0:
                    self.app.simulate_key(key)
                    return
            place -= len(hint.words) + 1
            if place < 0:
                self.app.simulate_key(hint.keys[0][0])
                return


def _hints(bindings: Sequence[Binding], display: Callable[[Binding], str]) -> Iterator[Hint]:
    """The first key of every action; those of a group together."""
    firsts: dict[str, Binding] = {}
    for binding in bindings:
        if binding.show:
            firsts.setdefault(binding.action, binding)
    for group, found in groupby(firsts.values(), lambda binding: binding.group):
        several = list(found)
        keys = tuple((binding.key, display(binding)) for binding in several)
        if group is not None and len(several) > 1:
            yield Hint(keys, group.description)
        else:
            yield from (Hint((key,), b.description, b.action in ALWAYS) for key, b in zip(keys, several, strict=True))
