"""Tables that sort their rows by the column that is asked for, and leave columns out where there is little room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from textual import events

from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable

R = TypeVar("R")
LeftOut = Sequence[tuple[int, Sequence[str]]]
"""Columns that are left out below a width, the least width first."""


def sorted_rows(rows: Sequence[R], columns: Sequence[Column[R]], by: tuple[str, bool]) -> Sequence[R]:
    """The rows by a column, and whether it descends; as they are where there is no such column."""
    column = next((one for one in columns if one.key == by[0]), None)
    return sorted(rows, key=column.order, reverse=by[1]) if column else rows


class SortedTable(VirtualTable[R]):
    """Keeps its rows in the order in which they were given, to sort them anew."""

    left_out: LeftOut = ()

    def __init__(self, columns: Sequence[Column[R]], **more: Any) -> None:
        super().__init__(columns, **more)
        self._given: Sequence[R] = ()
        self._every = list(columns)

    def fill(self, rows: Sequence[R]) -> None:
        """Other rows, in the chosen order."""
        self._given = rows
        self.show(sorted_rows(rows, self.columns, self.sorted_by))

    def fill_columns(self, columns: Sequence[Column[R]], rows: Sequence[R]) -> None:
        """Other rows that have other columns."""
        self._every = list(columns)
        self._choose_columns(self.size.width)
        self.fill(rows)

    def on_resize(self, event: events.Resize) -> None:
        self._choose_columns(event.size.width)

    def _choose_columns(self, width: int) -> None:
        hidden: Sequence[str] = next((keys for least, keys in self.left_out if width < least), ())
        self.columns = [column for column in self._every if column.key not in hidden]

    def on_virtual_table_sort_asked(self, event: VirtualTable.SortAsked) -> None:
        event.stop()
        self.sort_by(event.column)

    def sort_by(self, key: str) -> None:
        """Sort by a column; again: the other way round."""
        self.turn_order(key)
        self.fill(self._given)
