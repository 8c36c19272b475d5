"""The rows of results as a table: what a trial asked for and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.text import Text

from prunetui.metrics import CLASSIFICATION, Metric, Metrics
from prunetui.tui.widgets.sorted_table import LeftOut, SortedTable
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.words import percent, size

Row = Mapping[str, Any]
STATUS_STYLES = {"failed": "bold #ff6b5e", "skipped": "#8a93a0"}


def number(row: Row, name: str) -> float:
    """A cell as a number; what is missing comes first."""
    value = row.get(name)
    try:
        return float(value) if value not in (None, "") else float("-inf")
    except (TypeError, ValueError):
        return float("-inf")


def _figure(metric: Metric) -> Callable[[Row], str]:
    return lambda row: percent(row.get(metric.key), metric.digits)


def _label(row: Row) -> Text:
    status = str(row.get("status", ""))
    words = str(row.get("label") or row.get("method") or row.get("trial"))
    if row.get("method") == "dense":  # controls differ by how long they were trained, which their trial's name tells
        words = str(row.get("trial") or words).replace(f"-s{row.get('seed')}", "")
    return Text(words if status == "done" else f"{words} ({status})", STATUS_STYLES.get(status, ""))


def trial_columns(metrics: Metrics) -> list[Column[Row]]:
    """Columns from the most telling to the least; all can be sorted by."""
    before, primary, control = metrics.before, metrics.primary, metrics.control

    def by(name: str) -> Callable[[Row], Any]:
        return lambda row: number(row, name)

    def text(name: str) -> Callable[[Row], Any]:
        return lambda row: str(row.get(name, ""))

    def sparsity(row: Row) -> str:
        return f"{float(row['sparsity']):.3f}" if row.get("sparsity") not in (None, "") else "-"

    return [
        Column("label", "method", _label, text("label"), least=12, most=40),
        Column("target", "target", text("target"), lambda row: (text("target")(row), number(row, "sparsity")), least=8),
        Column("seed", "seed", text("seed"), by("seed"), True, drop=3),
        Column("sparsity", "sparsity", sparsity, by("sparsity"), True, 5, drop=1),
        Column("params", "params", lambda row: size(row.get("params")), by("params"), True, 5),
        Column("macs", "MACs", lambda row: size(row.get("macs")), by("macs"), True, 5, drop=4),
        Column(before.key, "before", _figure(before), by(before.key), True, 5),
        Column(primary.key, primary.title, _figure(primary), by(primary.key), True, 5),
        *(Column(one.key, one.title, _figure(one), by(one.key), True, 5, drop=2) for one in metrics.in_tables),
        Column(control.key, "control", _figure(control), by(control.key), True, 5, drop=2),
        Column("latency_ms", "ms", lambda row: percent(row.get("latency_ms")), by("latency_ms"), True, 4, drop=5),
        Column("seconds", "took", lambda row: percent(row.get("seconds"), 1), by("seconds"), True, 4, drop=6),
    ]


def left_out(metrics: Metrics) -> LeftOut:
    """Columns for which there is no room on narrow screens."""
    return ((96, ("macs", metrics.control.key, "latency_ms", "seconds")),)


class Trials(SortedTable[Row]):
    """Trials in the order of the study, or sorted by a column."""

    def __init__(self, **more: Any) -> None:
        super().__init__(trial_columns(CLASSIFICATION), key=lambda row: str(row.get("trial")), **more)
        self.metrics = CLASSIFICATION
        self.left_out = left_out(CLASSIFICATION)

    def show_rows(self, rows: Sequence[Row], metrics: Metrics) -> None:
        """Other rows, of a run that measures these metrics."""
        if metrics == self.metrics:
            self.fill(rows)
        else:
            self.metrics, self.left_out = metrics, left_out(metrics)
            self.fill_columns(trial_columns(metrics), rows)
