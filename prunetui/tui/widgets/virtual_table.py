"""A table that draws only the rows on screen: five thousand runs cost what twenty do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from prunetui.tui.widgets.table_columns import GAP, Column, fitted, fitted_columns, styled

R = TypeVar("R")
SAMPLE = 80
"""Rows whose cells decide how wide a column is."""
MOVES: list[BindingType] = [
    Binding("up,k", "move(-1)", "Up", show=False),
    Binding("down,j", "move(1)", "Down", show=False),
    Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
    Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
    Binding("home,g", "first", "First", show=False),
    Binding("end,G", "last", "Last", show=False),
    Binding("enter", "open", "Open", show=False),
]


class VirtualTable(ScrollView, Generic[R], can_focus=True):
    """Rows with a cursor, marks and a sort order. It is given rows in their order and asks for another by message."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor", "table--marked", "table--stripe"}
    BINDINGS: ClassVar[list[BindingType]] = MOVES

    cursor: reactive[int] = reactive(0)
    """The row under the cursor."""

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: VirtualTable[Any]) -> None:
            self.table = table
            super().__init__()

        @property
        def control(self) -> VirtualTable[Any]:
            return self.table

    class Opened(Moved):
        """Enter or a second click on a row."""

    class SortAsked(Moved):
        """A click on a column's title."""

        def __init__(self, table: VirtualTable[Any], column: str) -> None:
            self.column = column
            super().__init__(table)

    def __init__(self, columns: Sequence[Column[R]], key: Callable[[R], str], **more: Any) -> None:
        super().__init__(**more)
        self.columns = list(columns)
        self._key = key
        self.rows: Sequence[R] = ()
        self.marked: frozenset[str] = frozenset()
        self.sorted_by: tuple[str, bool] = ("", False)
        """Column, and whether it descends; only shown, the giver of rows sorts them."""
        self._shown: list[Column[R]] = []
        self._widths: list[int] = []
        self._style: Style | None = None
        """Of the rows that are drawn just now."""

    # Rows -----------------------------------------------------------------------------------------

    def show(self, rows: Sequence[R]) -> None:
        """Show other rows; the cursor stays on the same one if it is still there."""
        current = self._key(self.rows[self.cursor]) if self.current is not None else None
        self.rows = rows
        self._measure()
        if current is not None:
            place = next((i for i, row in enumerate(rows) if self._key(row) == current), None)
            self.cursor = place if place is not None else min(self.cursor, max(0, len(rows) - 1))
        self.refresh()

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def chosen(self) -> list[R]:
        """The marked rows, or the one under the cursor."""
        marked = [row for row in self.rows if self._key(row) in self.marked] if self.marked else []
        return marked or ([self.current] if self.current is not None else [])

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor and go on."""
        if self.current is not None:
            self.marked ^= {self._key(self.current)}
            self.cursor = min(self.cursor + 1, len(self.rows) - 1)
            self.refresh()

    def unmark(self) -> None:
        """Forget all marks."""
        self.marked = frozenset()
        self.refresh()

    def turn_order(self, key: str) -> None:
        """Take another column to sort by, or turn the order round; the rows are sorted by whoever gives them."""
        by, down = self.sorted_by
        self.sorted_by = (key, not down if by == key else False)

    # Drawing --------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Columns and their widths, by the rows that there are."""
        room = max(10, self.size.width) - 1
        self._shown, self._widths = fitted_columns(self.columns, self.rows[:SAMPLE], room)
        self.virtual_size = Size(room, len(self.rows) + 1)

    def on_resize(self, event: events.Resize) -> None:
        self._measure()
        self.refresh()
        self.call_after_refresh(self._reveal)

    def render_lines(self, crop: Region) -> list[Strip]:
        self._style = self.rich_style  # blended from all that is around: once, not for each row
        try:
            return super().render_lines(crop)
        finally:
            self._style = None

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self._header(width)
        index = y - 1 + int(self.scroll_offset.y)
        if index >= len(self.rows):
            return Strip.blank(width, self._style or self.rich_style)
        return self._row(index, width)

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("table--header")
        cells = []
        for column, room in zip(self._shown, self._widths, strict=True):
            by, down = self.sorted_by
            title = column.title + (("v" if down else "^") if column.key == by else "")
            cells.append(fitted(title, room, column.right))
        text = " " + (" " * GAP).join(cells)
        return Strip([Segment(text, style)]).adjust_cell_length(width, style).crop(0, width)

    def _row(self, index: int, width: int) -> Strip:
        row = self.rows[index]
        base = self._style or self.rich_style
        marked = self._key(row) in self.marked
        if marked:
            base += self.get_component_rich_style("table--marked", partial=True)
        if index == self.cursor and (self.has_focus or not marked):
            base += self.get_component_rich_style("table--cursor", partial=True)
        cells = [("*" if marked else " ", base)]
        for column, room in zip(self._shown, self._widths, strict=True):
            cells += [styled(column.cell(row), room, column.right, base), (" " * GAP, base)]
        alike = groupby(cells, itemgetter(1))  # few long segments are drawn faster than many short ones
        segments = [Segment("".join(text for text, _ in group), style) for style, group in alike]
        return Strip(segments).adjust_cell_length(width, base).crop(0, width)

    # Moving ---------------------------------------------------------------------------------------

    def watch_cursor(self, old: int, new: int) -> None:
        if not self.is_mounted:
            return
        self._reveal()
        self.call_after_refresh(self._reveal)  # rows that came with it are not there to be scrolled to yet
        for line in (old, new):
            self.refresh(Region(0, line - int(self.scroll_offset.y) + 1, self.size.width, 1))
        if old != new:
            self.post_message(self.Moved(self))

    def _reveal(self) -> None:
        """Scroll as far as the row under the cursor."""
        visible = max(1, self.size.height - 1)
        top = int(self.scroll_offset.y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False)

    def action_move(self, by: int) -> None:
        """Move the cursor by some rows."""
        if self.rows:
            self.cursor = max(0, min(len(self.rows) - 1, self.cursor + by))

    def action_page(self, by: int) -> None:
        """Move the cursor by a screenful."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """To the first row."""
        self.cursor = 0

    def action_last(self) -> None:
        """To the last row."""
        self.cursor = max(0, len(self.rows) - 1)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.current is not None:
            self.post_message(self.Opened(self))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            x = event.x - 1
            for column, room in zip(self._shown, self._widths, strict=True):
                if x < room + GAP:
                    self.post_message(self.SortAsked(self, column.key))
                    return
                x -= room + GAP
            return
        index = event.y - 1 + int(self.scroll_offset.y)
        if index < len(self.rows):
            again = index == self.cursor
            self.cursor = index
            if again and event.chain > 1:
                self.action_open()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
