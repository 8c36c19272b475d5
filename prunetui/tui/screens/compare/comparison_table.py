"""The tables of a comparison: results of several runs, and the settings that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from prunetui.metrics import CLASSIFICATION, Metric, Metrics
from prunetui.results.comparison import RunLine
from prunetui.results.summary import Figure, human
from prunetui.tui.widgets.sorted_table import LeftOut, SortedTable
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable


class Lines(SortedTable[RunLine]):
    """Means over seeds of every method and target of every run."""

    def __init__(self, **more: Any) -> None:
        super().__init__(_line_columns(CLASSIFICATION), key=lambda one: f"{one.run} {one.line.key}", **more)
        self._metrics = CLASSIFICATION
        self.left_out = left_out(CLASSIFICATION)

    def show_lines(self, lines: Sequence[RunLine], metrics: Metrics) -> None:
        """Other lines, of runs that measure these metrics."""
        if metrics == self._metrics:
            self.fill(lines)
        else:
            self._metrics, self.left_out = metrics, left_out(metrics)
            self.fill_columns(_line_columns(metrics), lines)


def left_out(metrics: Metrics) -> LeftOut:
    """Columns for which there is no room on narrow screens."""
    before = metrics.before.key
    return ((96, ("params", "macs", before, "latency_ms")), (136, ("macs", before)))


def _line_columns(metrics: Metrics) -> list[Column[RunLine]]:
    def figure(key: str, title: str, words: Callable[[Figure], str], least: int = 5) -> Column[RunLine]:
        def order(one: RunLine) -> float:
            return one.line.figures[key].mean if key in one.line.figures else float("-inf")

        def cell(one: RunLine) -> str:
            return words(one.line.figures[key]) if key in one.line.figures else "-"

        return Column(key, title, cell, order, True, least)

    def measured(metric: Metric, title: str) -> Column[RunLine]:
        return figure(metric.key, title, lambda f: f.text(metric.digits), 11)

    def label(one: RunLine) -> Text:
        failed = f" ({one.line.failed} failed)" if one.line.failed else ""
        return Text(one.line.label + failed, "bold #ff6b5e" if failed else "")

    return [
        Column("run", "run", lambda one: one.name, lambda one: one.name.lower(), least=8, most=24),
        Column("label", "method", label, lambda one: one.line.label, least=12, most=36),
        Column("target", "target", lambda one: one.line.target, lambda one: one.line.target, least=8),
        Column("seeds", "seeds", lambda one: str(one.line.seeds), lambda one: one.line.seeds, True),
        figure("sparsity", "sparsity", lambda f: f"{f.mean:.3f}"),
        figure("params", "params", lambda f: human(f.mean)),
        figure("macs", "MACs", lambda f: human(f.mean)),
        measured(metrics.before, "before"),
        measured(metrics.primary, metrics.primary.title),
        measured(metrics.drop, "lost"),
        *(measured(other, other.title) for other in metrics.in_tables),
        figure("latency_ms", "ms", lambda f: f"{f.mean:.2f}", 4),
    ]


Setting = tuple[str, tuple[str, ...]]


class SettingsTable(VirtualTable[Setting]):
    """The settings that differ between runs, one column a run."""

    def __init__(self, **more: Any) -> None:
        super().__init__([], key=lambda one: one[0], **more)

    def fill(self, names: Sequence[str], settings: Sequence[Setting]) -> None:
        """Other settings."""

        def value(place: int) -> Callable[[Setting], str]:
            return lambda one: one[1][place]

        self.columns = [
            Column("setting", "differs", lambda one: one[0], lambda one: one[0], least=14, most=40),
            *(Column(str(i), name, value(i), value(i), least=8, most=60) for i, name in enumerate(names)),
        ]
        self.show(settings)
