"""Tables as text for other programs: CSV and Markdown. Torch-free."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prunetui.store.run import COLUMNS


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of results as results.csv has them, with the columns that only some have at the end."""
    return table_csv(rows, COLUMNS)


def table_csv(rows: Iterable[Mapping[str, Any]], first: Sequence[str] = ()) -> str:
    """Rows as CSV; ``first`` are columns that there are in any case."""
    rows = list(rows)
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def table_markdown(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> str:
    """A table as Markdown; ``right`` says of each column whether it is aligned to the right."""
    lines = [[_cell(cell) for cell in row] for row in (titles, *rows)]
    lines.insert(1, ["---:" if to_right else "---" for to_right in right])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
