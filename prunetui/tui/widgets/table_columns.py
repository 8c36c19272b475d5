"""The columns of a table: what each shows of a row, and how wide it is where there is so much room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.style import Style
from rich.text import Text

from prunetui.terminal.printable import one_line

R = TypeVar("R")
GAP = 2
"""Cells between two columns."""


@dataclass(frozen=True)
class Column(Generic[R]):
    """How one column shows a row: ``cell`` gives its text, ``order`` what it is sorted by."""

    key: str
    title: str
    cell: Callable[[R], Text | str]
    order: Callable[[R], Any]
    right: bool = False
    least: int = 0
    """Cells it keeps when the table is too wide; others are cut first."""
    most: int = 60
    drop: int = 0
    """Columns with the highest number go first where there is no room; those with 0 are only cut."""
    enough: int = 60
    """Cells for which other columns go; beyond them this one is cut."""


def fitted_columns(columns: Sequence[Column[R]], sample: Sequence[R], room: int) -> tuple[list[Column[R]], list[int]]:
    """The columns there is room for and their widths, from the titles and a sample of rows.

    The widest flexible columns give way first.
    """
    natural: dict[str, int] = {}
    for column in columns:
        cells = (_length(column.cell(row)) for row in sample)
        natural[column.key] = min(column.most, max([len(one_line(column.title)) + 1, *cells]))
    shown = list(columns)
    while sum(min(natural[c.key], c.enough) + GAP for c in shown) > room and any(c.drop for c in shown):
        shown.remove(max(shown, key=lambda c: c.drop))
    widths = [natural[c.key] for c in shown]
    while sum(widths) + GAP * len(widths) > room:
        flexible = [i for i, c in enumerate(shown) if widths[i] > max(c.least, 4)]
        if not flexible:
            break
        widths[max(flexible, key=lambda i: widths[i] - shown[i].least)] -= 1
    return shown, widths


def _length(cell: Text | str) -> int:
    return len(one_line(cell.plain)) if isinstance(cell, Text) else len(one_line(cell))


def fitted(text: str, room: int, right: bool) -> str:
    """A text on one line of so many cells, cut or filled up."""
    text = one_line(text)
    if len(text) > room:
        return text[: max(0, room - 1)] + "~" if room > 1 else text[:room]
    return text.rjust(room) if right else text.ljust(room)


def styled(cell: Text | str, room: int, right: bool, base: Style) -> tuple[str, Style]:
    """A cell of so many characters and its style on top of the row's."""
    if isinstance(cell, str):
        return fitted(cell, room, right), base
    style = base + (cell.style if isinstance(cell.style, Style) else Style.parse(cell.style))
    return fitted(cell.plain, room, right), style
