"""The layers of a sensitivity study as a table: what is left of a figure when only one of them is pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from prunetui.metrics import DROP, Metrics
from prunetui.results.axes import Axis
from prunetui.results.summary import Figure, Sensitivity
from prunetui.tui.widgets.sorted_table import SortedTable
from prunetui.tui.widgets.table_columns import Column

LOST = ((10.0, "bold #ff6b5e"), (2.0, "#e69f00"))
"""Points lost, of what is in percent, from which a cell stands out."""


class LayerSensitivities(SortedTable[Sensitivity]):
    """One row a layer, or a group of coupled layers, and one column a target."""

    def __init__(self, **more: Any) -> None:
        super().__init__([], key=lambda one: f"{one.method} {'+'.join(one.layers)}", **more)

    def show_layers(self, found: Sequence[Sensitivity], axis: Axis, dense: float | None, metrics: Metrics) -> None:
        """Other figures."""
        values = list(dict.fromkeys(_value(target) for one in found for target in one.figures))
        columns: list[Column[Sensitivity]] = []
        if len({one.method for one in found}) > 1:
            columns.append(
                Column("method", "method", lambda one: one.method, lambda one: one.method, least=12, most=24)
            )
        columns.append(Column("layer", "layer", lambda one: " + ".join(one.layers), lambda one: one.layers, least=14))
        columns += [_target(value, axis, dense, metrics) for value in values]
        if any(one.skipped for one in found):
            columns.append(Column("skipped", "not pruned because", lambda one: one.skipped, lambda one: one.skipped))
        self.fill_columns(columns, found)


def _value(target: str) -> str:
    """``channels:0.5`` -> ``0.5``: methods that have other kinds of targets share a column."""
    return target.partition(":")[2] or target


def _target(value: str, axis: Axis, dense: float | None, metrics: Metrics) -> Column[Sensitivity]:
    stages = (metrics.primary, metrics.before, metrics.validation)

    def figure(one: Sensitivity) -> Figure | None:
        return next((found for target, found in one.figures.items() if _value(target) == value), None)

    def cell(one: Sensitivity) -> Text:
        found = figure(one)
        if found is None:
            return Text("-", "dim")
        text = found.text(axis.metric.digits)
        if not metrics.primary.is_percent or axis.metric not in (*stages, metrics.drop):
            return Text(text)
        lost = found.mean if axis.key == DROP else metrics.primary.lost(dense or 0.0, found.mean)
        return Text(text, next((style for least, style in LOST if lost >= least), ""))

    def order(one: Sensitivity) -> float:
        found = figure(one)
        return found.mean if found else float("-inf")

    return Column(value, value, cell, order, True, 5)
