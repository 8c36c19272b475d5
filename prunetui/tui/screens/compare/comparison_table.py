"""Tables of results: layers of a sensitivity study, lines of several runs, settings that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text
from textual import events

from prunetui.results.axes import Axis
from prunetui.results.comparison import RunLine
from prunetui.results.summary import Figure, Sensitivity, human
from prunetui.tui.widgets.virtual_table import Column, Table

LOST = ((10.0, "bold #ff6b5e"), (2.0, "#e69f00"))
"""Points of accuracy lost from which a cell stands out."""


class Layers(Table[Sensitivity]):
    """One row a layer, or a group of coupled layers, and one column a target."""

    def __init__(self, **more: Any) -> None:
        super().__init__([], key=lambda one: f"{one.method} {'+'.join(one.layers)}", **more)

    def fill(self, found: Sequence[Sensitivity], axis: Axis, dense: float | None) -> None:
        """Other figures."""
        values = list(dict.fromkeys(_value(target) for one in found for target in one.figures))
        columns: list[Column[Sensitivity]] = []
        if len({one.method for one in found}) > 1:
            columns.append(
                Column("method", "method", lambda one: one.method, lambda one: one.method, least=12, most=24)
            )
        columns.append(Column("layer", "layer", lambda one: " + ".join(one.layers), lambda one: one.layers, least=14))
        columns += [_target(value, axis, dense) for value in values]
        if any(one.skipped for one in found):
            columns.append(Column("skipped", "not pruned because", lambda one: one.skipped, lambda one: one.skipped))
        self.columns = columns
        by, down = self.sorted_by
        column = next((c for c in columns if c.key == by), None)
        self.show(sorted(found, key=column.order, reverse=down) if column else found)


def _value(target: str) -> str:
    """``channels:0.5`` -> ``0.5``: methods that have other kinds of targets share a column."""
    return target.partition(":")[2] or target


def _target(value: str, axis: Axis, dense: float | None) -> Column[Sensitivity]:
    digits = 4 if axis.key == "loss" else 2

    def figure(one: Sensitivity) -> Figure | None:
        return next((found for target, found in one.figures.items() if _value(target) == value), None)

    def cell(one: Sensitivity) -> Text:
        found = figure(one)
        if found is None:
            return Text("-", "dim")
        lost = found.mean if axis.key == "drop" else (dense or 0.0) - found.mean
        style = next((style for least, style in LOST if lost >= least), "") if axis.unit or axis.key == "drop" else ""
        return Text(found.text(digits), style)

    def order(one: Sensitivity) -> float:
        found = figure(one)
        return found.mean if found else float("-inf")

    return Column(value, value, cell, order, True, 5)


LEFT_OUT = ((96, ("params", "macs", "top1_before", "latency_ms")), (136, ("macs", "top1_before")))
"""Columns that are left out below a width."""


class Lines(Table[RunLine]):
    """Means over seeds of every method and target of every run."""

    def __init__(self, **more: Any) -> None:
        super().__init__(_line_columns(), key=lambda one: f"{one.run} {one.line.key}", **more)
        self._all: Sequence[RunLine] = ()
        self._every = list(self.columns)

    def on_resize(self, event: events.Resize) -> None:
        hidden = next((keys for least, keys in LEFT_OUT if event.size.width < least), ())
        self.columns = [column for column in self._every if column.key not in hidden]

    def fill(self, lines: Sequence[RunLine]) -> None:
        """Other lines, in the chosen order."""
        self._all = lines
        by, down = self.sorted_by
        column = next((c for c in self.columns if c.key == by), None)
        self.show(sorted(lines, key=column.order, reverse=down) if column else lines)

    def on_table_sort_asked(self, event: Table.SortAsked) -> None:
        event.stop()
        self.sort_by(event.column)

    def sort_by(self, key: str) -> None:
        """Sort by a column; again: the other way round."""
        by, down = self.sorted_by
        self.sorted_by = (key, not down if by == key else False)
        self.fill(self._all)


def _line_columns() -> list[Column[RunLine]]:
    def figure(key: str, title: str, words: Callable[[Figure], str], least: int = 5) -> Column[RunLine]:
        def order(one: RunLine) -> float:
            return one.line.figures[key].mean if key in one.line.figures else float("-inf")

        def cell(one: RunLine) -> str:
            return words(one.line.figures[key]) if key in one.line.figures else "-"

        return Column(key, title, cell, order, True, least)

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
        figure("top1_before", "before", lambda f: f.text(), 11),
        figure("top1", "top-1", lambda f: f.text(), 11),
        figure("drop", "lost", lambda f: f.text(), 11),
        figure("latency_ms", "ms", lambda f: f"{f.mean:.2f}", 4),
    ]


Setting = tuple[str, tuple[str, ...]]


class Settings(Table[Setting]):
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
