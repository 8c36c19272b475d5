"""What is printed, all of it: lines, tables and legends for people, JSON for programs. Torch-free.

Nothing else prints (tests/terminal/test_output.py holds it): what comes from a run or a file is shown harmlessly here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from prunetui.terminal.printable import one_line, own_lines

PLAIN_WIDTH = 160
"""Cells of a line in a pipe."""


def say(*lines: object, err: bool = False) -> None:
    """Print each argument on one line of its own, whatever it holds; on stderr if ``err``."""
    print("\n".join(map(one_line, lines)), file=sys.stderr if err else sys.stdout, flush=err)


def say_drawn(text: str) -> None:
    """Print a chart of ours with its newlines and colours; ``chart.draw`` has made the words in it harmless."""
    print(text)


class PlainConsole(Console):
    """A console on which text is text: no markup, no control characters but rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(own_lines(segment.text), segment.style)


def console(err: bool = False) -> Console:
    """stdout, or stderr: coloured and fitted on a terminal, plain and wide in a pipe."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return PlainConsole(width=width, highlight=False, markup=False, emoji=False, stderr=err)


def print_json(plain: object) -> None:
    """One JSON document on stdout."""
    print(json_text(plain))


def json_text(plain: object, indent: int | None = 1) -> str:
    """Strict JSON in ASCII: what is not a finite number is null, other characters are escaped."""
    return json.dumps(_finite(plain), indent=indent, allow_nan=False, default=str)


def _finite(plain: Any) -> Any:
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, dict):
        return {key: _finite(value) for key, value in plain.items()}
    return [_finite(value) for value in plain] if isinstance(plain, list | tuple) else plain


class PlainTable(Table):
    """A table of which a row is one row, whatever its cells hold."""

    def add_row(self, *cells: RenderableType | None, **more: Any) -> None:
        super().add_row(*(one_line(cell) if isinstance(cell, str) else cell for cell in cells), **more)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An unboxed table; the columns named in ``right`` are aligned to the right."""
    made = PlainTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        side: Any = "right" if column in right else "left"
        made.add_column(one_line(column), justify=side, overflow="fold")
    return made


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """Lines of a plain table. A thousand rows take a hundredth of the time that rich needs."""
    cells = [columns, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = [">" if column in right else "<" for column in columns]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in cells
    ]


def packed(entries: Iterable[tuple[str, tuple[int, int, int], str]], width: int) -> list[Text]:
    """A legend as lines of whole entries: rich would break between a marker and its name."""
    rows = [Text()]
    for marker, (r, g, b), label in entries:
        entry = Text.assemble((marker, f"rgb({r},{g},{b})"), f" {one_line(label)}   ")
        if len(rows[-1]) and len(rows[-1]) + len(entry) > width:
            rows.append(Text())
        rows[-1].append_text(entry)
    return rows
