"""Rows of results with their types: a DataFrame where pandas is installed, else a list of dicts that shows itself."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from prunetui.store.results import TEXT, WHOLE
from prunetui.terminal.output import aligned

SHOWN = ("trial", "method", "target", "seed", "sparsity", "params", "macs", "status")
"""Columns that a list of rows shows, before those of the task."""


class ResultRows(list[dict[str, Any]]):
    """One mapping a trial, by the columns of results.csv; ``repr`` is a table of the most telling columns."""

    def __init__(self, rows: Iterable[dict[str, Any]], telling: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self._telling = telling

    def __repr__(self) -> str:
        columns = self._columns()
        cells = [[_text(row.get(name)) for name in columns] for row in self]
        return "\n".join(aligned(columns, cells, right=[name for name in columns if name not in TEXT]))

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        columns = self._columns()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(row.get(name)))}</td>" for name in columns) + "</tr>"
            for row in self
        )
        return f"<table><tr>{head}</tr>{body}</table>"

    def _columns(self) -> list[str]:
        there = {name for row in self for name, value in row.items() if value is not None}
        return [name for name in (*SHOWN, *self._telling) if name in there] or ["trial"]


def table_of(rows: Iterable[Mapping[str, str]], telling: Sequence[str]) -> Any:
    """The rows of results.csv: numbers are numbers, and what is not there is None (NaN in a DataFrame)."""
    typed = [{name: _value(name, text) for name, text in row.items()} for row in rows]
    if find_spec("pandas") is None:
        return ResultRows(typed, telling)
    return import_module("pandas").DataFrame(typed)


def _value(name: str, text: str) -> Any:
    if text == "":
        return None
    if name in TEXT:
        return text
    return int(text) if name in WHOLE and text.lstrip("-").isdecimal() else float(text)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
