"""Rows of results.csv -> what tables and charts show: means and spreads over seeds. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from prunetui.events import NO_SPEED_UP
from prunetui.metrics import CLASSIFICATION, DROP, Metrics
from prunetui.store.metrics_of_run import metrics_of

Row = Mapping[str, Any]
UNREADABLE = (KeyError, ValueError, TypeError)
"""What a file of results that is not one makes of the tables."""


@dataclass(frozen=True)
class Figure:
    """A mean over seeds and its sample standard deviation (None of a single seed)."""

    mean: float
    spread: float | None

    def text(self, digits: int = 2) -> str:
        """As a table shows it."""
        if self.spread is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ±{self.spread:.{digits}f}"


@dataclass(frozen=True)
class Line:
    """All seeds of one (method, schedule, target): a line of the results table."""

    label: str
    method: str
    schedule: str
    target: str
    seeds: int
    failed: int
    error: str
    figures: Mapping[str, Figure]
    runtime: str = ""
    """What latency was timed with, all of it where seeds differ; of nets with masks, that they are no faster in it."""
    of: tuple[Row, ...] = field(default=(), compare=False, repr=False)
    """The rows of the trials that were done."""
    metrics: Metrics = field(default=CLASSIFICATION, compare=False, repr=False)
    """What its run measures."""

    @property
    def primary(self) -> Figure | None:
        """The primary metric after recovery training."""
        return self.figures.get(self.metrics.primary.key)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other lines of a run."""
        return self.label, self.schedule, self.target


@dataclass(frozen=True)
class Series:
    """One method's curve: a point for each target, ascending in x."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...]
    of: tuple[Line, ...] = field(default=(), compare=False)
    """The line of the table behind each point."""


def with_drop(rows: Iterable[Row], metrics: Metrics | None = None) -> list[Row]:
    """The rows with a further figure ``drop``: how much worse they are than the dense network of the same seed."""
    rows = list(rows)
    metrics = metrics or measured(rows)
    found = []
    for row in rows:
        dense, after = row.get(metrics.dense.key), row.get(metrics.primary.key)
        if dense is None or after is None or "" in (dense, after):
            found.append(row)
        else:
            found.append({**row, DROP: metrics.primary.lost(float(dense), float(after))})
    return found


def measured(rows: Iterable[Row]) -> Metrics:
    """What rows measure whose run is not at hand, as far as their columns tell."""
    return metrics_of(dict.fromkeys(name for row in rows for name in row))


def lines(rows: Iterable[Row], metrics: Metrics | None = None) -> list[Line]:
    """The table of results, in the order of the study; ``metrics`` are those of its run, if that is at hand."""
    rows = list(rows)
    metrics = metrics or measured(rows)
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        name = (row["label"] or row["method"], row["method"], row["schedule"], row["target"])
        # Controls differ only by how they were trained, which their trial's name tells.
        key = name if row["method"] != "dense" else (row["trial"].replace(f"-s{row['seed']}", ""), *name[1:])
        groups.setdefault(key, []).append(row)
    return [_line(key, group, metrics) for key, group in groups.items()]


def _line(key: tuple[str, str, str, str], rows: list[Row], metrics: Metrics) -> Line:
    done = [row for row in rows if row["status"] == "done"]
    figures = {}
    for name in (metric.key for metric in metrics.averaged):
        values = [float(row[name]) for row in done if row.get(name) not in (None, "")]
        if values:
            figures[name] = Figure(fmean(values), stdev(values) if len(values) > 1 else None)
    errors = [str(row["error"]) for row in rows if row.get("error")]
    failed = sum(row["status"] == "failed" for row in rows)
    runtime = ", ".join(dict.fromkeys(str(row["runtime"]) for row in done if row.get("runtime")))
    return Line(*key, len(rows), failed, errors[0] if errors else "", figures, runtime, tuple(done), metrics)


def is_only_masks(line: Line) -> bool:
    """Whether its networks are as large and as slow as before."""
    return line.runtime == NO_SPEED_UP


def only_masks(table: Iterable[Line]) -> str:
    """The methods that bring no speed-up, as a sentence; empty when there are none."""
    lines = [line for line in table if is_only_masks(line)]
    labels = ", ".join(dict.fromkeys(line.label for line in lines))
    return f"{labels}: masks, {NO_SPEED_UP}" if lines else ""


@dataclass(frozen=True)
class Sensitivity:
    """What one method did to one layer, or one group of coupled layers, at each target; empty where it was skipped."""

    method: str
    layers: tuple[str, ...]
    figures: Mapping[str, Figure]
    skipped: str


def sensitivities(rows: Iterable[Row], figure: str = "", metrics: Metrics | None = None) -> list[Sensitivity]:
    """The table of a sensitivity study, in the order of the network; empty for other studies.

    ``figure`` is the primary metric when empty.
    """
    rows = list(rows)
    metrics = metrics or measured(rows)
    figure = figure or metrics.primary.key
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.get("layer"):
            groups.setdefault((row["label"].rpartition(" ")[0], row["layer"]), []).append(row)
    found = []
    for (method, layer), of in groups.items():
        table = {line.target: line.figures[figure] for line in lines(of, metrics) if figure in line.figures}
        reason = next((str(row["error"]) for row in of if row["status"] == "skipped"), "")
        found.append(Sensitivity(method, tuple(layer.split("+")), table, reason))
    return found


def series(table: Iterable[Line], x: str = "sparsity", y: str = "") -> list[Series]:
    """One curve a method; the dense controls are not among them. ``y`` is the primary metric when empty."""
    points: dict[str, list[tuple[float, float, float, int]]] = {}
    called = named(table)
    for i, (name, line) in enumerate(called):
        figure = line.figures.get(y or line.metrics.primary.key)
        if line.method == "dense" or x not in line.figures or figure is None:
            continue
        points.setdefault(name, []).append((line.figures[x].mean, figure.mean, figure.spread or 0.0, i))
    return [_series(name, sorted(values), [line for _, line in called]) for name, values in points.items()]


def named(table: Iterable[Line]) -> list[tuple[str, Line]]:
    """The lines with the names of their curves: the schedule stands in it where a label has several."""
    table = list(table)
    schedules = Counter(label for label, _ in {(line.label, line.schedule) for line in table})
    return [(f"{line.label} {line.schedule}" if schedules[line.label] > 1 else line.label, line) for line in table]


def _series(name: str, values: list[tuple[float, float, float, int]], table: list[Line]) -> Series:
    xs, ys, spreads, places = zip(*values, strict=True)
    return Series(name, xs, ys, spreads, tuple(table[i] for i in places))


def front(points: Sequence[tuple[float, float]], more_x: bool, more_y: bool) -> list[int]:
    """Places of the points that no other beats in one figure without being worse in the other; ascending in x.

    ``more_x`` and ``more_y`` say whether more is better; of equal points the first stands for all.
    """

    def cost(i: int) -> tuple[float, float]:
        return (-points[i][0] if more_x else points[i][0], -points[i][1] if more_y else points[i][1])

    kept: list[int] = []
    for i in sorted(range(len(points)), key=cost):
        if not kept or cost(i)[1] < cost(kept[-1])[1]:
            kept.append(i)
    return kept[::-1] if more_x else kept


def dense_level(table: Iterable[Line]) -> float | None:
    """The primary metric of the dense network: the mean over all seeds."""
    for line in table:
        if line.metrics.dense.key in line.figures:
            return line.figures[line.metrics.dense.key].mean
    return None


def human(number: float) -> str:
    """11173962 -> ``11.17M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size * 0.999995:  # what would round to 1000.00 of the unit below
            return f"{number / size:.2f}{unit}"
    return f"{number:.0f}"
