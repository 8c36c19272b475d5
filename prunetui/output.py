"""What is printed: tables and legends for people, JSON for programs. Torch-free."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
"""Cells of a line in a pipe."""


def console() -> Console:
    """stdout: coloured and fitted on a terminal, plain and wide in a pipe."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, markup=False)  # a label may hold brackets


def print_json(plain: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(plain, indent=1, ensure_ascii=False))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An unboxed table; the columns named in ``right`` are aligned to the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """Lines of a plain table. A thousand rows take a hundredth of the time that rich needs."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    sides = [">" if column in right else "<" for column in columns]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]


def packed(entries: Iterable[tuple[str, tuple[int, int, int], str]], width: int) -> list[Text]:
    """A legend as lines of whole entries: rich would break between a marker and its name."""
    rows = [Text()]
    for marker, (r, g, b), label in entries:
        entry = Text.assemble((marker, f"rgb({r},{g},{b})"), f" {label}   ")
        if len(rows[-1]) and len(rows[-1]) + len(entry) > width:
            rows.append(Text())
        rows[-1].append_text(entry)
    return rows
