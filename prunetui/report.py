"""Rows of results.csv -> what tables and charts show: means and spreads over seeds. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

Row = Mapping[str, Any]


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


@dataclass(frozen=True)
class Series:
    """One method's curve: a point for each target, ascending in x."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...]


FIGURES = (
    "sparsity", "params", "params_nonzero", "macs", "top1_before", "top1_before_raw", "top1", "val_top1", "top1_dense",
    "top1_control", "loss", "bytes", "latency_ms", "seconds",
)  # fmt: skip


def lines(rows: Iterable[Row]) -> list[Line]:
    """The table of results, in the order of the study."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        name = (row["label"] or row["method"], row["method"], row["schedule"], row["target"])
        # Controls differ only by how they were trained, which their trial's name tells.
        key = name if row["method"] != "dense" else (row["trial"].replace(f"-s{row['seed']}", ""), *name[1:])
        groups.setdefault(key, []).append(row)
    return [_line(key, group) for key, group in groups.items()]


def _line(key: tuple[str, str, str, str], rows: list[Row]) -> Line:
    done = [row for row in rows if row["status"] == "done"]
    figures = {}
    for name in FIGURES:
        values = [float(row[name]) for row in done if row.get(name) not in (None, "")]
        if values:
            figures[name] = Figure(fmean(values), stdev(values) if len(values) > 1 else None)
    errors = [str(row["error"]) for row in rows if row.get("error")]
    failed = sum(row["status"] == "failed" for row in rows)
    return Line(*key, len(rows), failed, errors[0] if errors else "", figures)


@dataclass(frozen=True)
class Sensitivity:
    """What one method did to one layer, or one group of coupled layers, at each target; empty where it was skipped."""

    method: str
    layers: tuple[str, ...]
    figures: Mapping[str, Figure]
    skipped: str


def sensitivities(rows: Iterable[Row], figure: str = "top1") -> list[Sensitivity]:
    """The table of a sensitivity study, in the order of the network; empty for other studies."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.get("layer"):
            groups.setdefault((row["label"].rpartition(" ")[0], row["layer"]), []).append(row)
    found = []
    for (method, layer), of in groups.items():
        table = {line.target: line.figures[figure] for line in lines(of) if figure in line.figures}
        reason = next((str(row["error"]) for row in of if row["status"] == "skipped"), "")
        found.append(Sensitivity(method, tuple(layer.split("+")), table, reason))
    return found


def series(table: Iterable[Line], x: str = "sparsity", y: str = "top1") -> list[Series]:
    """One curve a method; the dense controls are not among them."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    labels = list(table)
    schedules = {(line.label, line.schedule) for line in labels}
    for line in labels:
        if line.method == "dense" or x not in line.figures or y not in line.figures:
            continue
        twice = sum(label == line.label for label, _ in schedules) > 1
        name = f"{line.label} {line.schedule}" if twice else line.label
        points.setdefault(name, []).append((line.figures[x].mean, line.figures[y].mean, line.figures[y].spread or 0.0))
    return [Series(name, *map(tuple, zip(*sorted(values), strict=True))) for name, values in points.items()]


def dense_accuracy(table: Iterable[Line]) -> float | None:
    """Mean accuracy of the dense network over all seeds."""
    for line in table:
        if "top1_dense" in line.figures:
            return line.figures["top1_dense"].mean
    return None


def human(number: float) -> str:
    """11173962 -> ``11.17M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size * 0.999995:  # what would round to 1000.00 of the unit below
            return f"{number / size:.2f}{unit}"
    return f"{number:.0f}"
