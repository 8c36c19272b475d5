"""The methods of a chart as a list to choose from: space shows or hides one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from prunetui.results.chart import Picture, look
from prunetui.terminal.printable import one_line

GAP = 3


@dataclass(frozen=True)
class Item:
    """A series in the legend."""

    marker: str
    color: str
    label: str
    hidden: bool
    empty: bool

    @property
    def words(self) -> str:
        """The label as it is shown."""
        return one_line(self.label)


class Legend(Widget, can_focus=True):
    """Flows over as many lines as it needs, scrolls where there are fewer; the chosen one is turned over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,right,j,l", "step(1)", "Next method", show=False),
        Binding("up,left,k,h", "step(-1)", "Method before", show=False),
        Binding("space", "flip", "Show/hide"),
        Binding("enter", "only", "Only this"),
    ]
    chosen: reactive[int] = reactive(0)

    class Toggled(Message):
        """A series is to be shown or hidden; ``only`` hides all others."""

        def __init__(self, label: str, only: bool = False) -> None:
            self.label, self.only = label, only
            super().__init__()

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.items: tuple[Item, ...] = ()
        self.stacked = False
        """One item on each line."""

    def show(self, picture: Picture) -> None:
        """The series of another picture."""
        items = []
        for i, curve in enumerate(picture.series):
            marker, (r, g, b) = look(i)
            items.append(Item(marker, f"rgb({r},{g},{b})", curve.label, curve.label in picture.hidden, not curve.x))
        if tuple(items) != self.items:
            self.items = tuple(items)
            self.chosen = min(self.chosen, max(0, len(items) - 1))
            self.refresh(layout=True)

    def _rows(self, width: int) -> list[list[int]]:
        """Places of the items on each line."""
        rows: list[list[int]] = [[]]
        used = 0
        for i, item in enumerate(self.items):
            needed = len(item.words) + 2
            if rows[-1] and (self.stacked or used + needed > width):
                rows.append([])
                used = 0
            rows[-1].append(i)
            used += needed + GAP
        return rows

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self._rows(width)))

    def _top(self, rows: list[list[int]]) -> int:
        """First line that is shown: the chosen one is always seen."""
        line = next((n for n, row in enumerate(rows) if self.chosen in row), 0)
        return max(0, line - max(1, self.content_size.height) + 1)

    def render(self) -> Text:
        rows = self._rows(self.content_size.width)
        text = Text(no_wrap=True, overflow="ellipsis")
        top = self._top(rows)
        end = top + max(1, self.content_size.height)
        for row in rows[top:end]:
            for i in row:
                item = self.items[i]
                style = "strike dim" if item.hidden else "dim" if item.empty else ""
                text.append(item.marker + " ", "dim" if item.hidden else item.color)
                text.append(item.words, f"{style} reverse" if self.has_focus and i == self.chosen else style)
                text.append(" " * GAP if i != row[-1] else "")
            text.append("\n")
        text.rstrip()
        below = sum(map(len, rows[end:]))
        text.append(f"  +{below} more" if below else "", "dim")
        return text

    def action_step(self, by: int) -> None:
        """Choose another method."""
        self.chosen = max(0, min(len(self.items) - 1, self.chosen + by))

    def action_flip(self) -> None:
        """Show or hide the chosen method."""
        if self.items:
            self.post_message(self.Toggled(self.items[self.chosen].label))

    def action_only(self) -> None:
        """Hide all but the chosen method."""
        if self.items:
            self.post_message(self.Toggled(self.items[self.chosen].label, only=True))

    def on_click(self, event: events.Click) -> None:
        rows = self._rows(self.content_size.width)
        line = event.y - self.gutter.top + self._top(rows)
        x = event.x - self.gutter.left
        for i in rows[line] if 0 <= line < len(rows) else []:
            if x < len(self.items[i].words) + 2 + GAP:
                self.chosen = i
                self.action_flip()
                return
            x -= len(self.items[i].words) + 2 + GAP
