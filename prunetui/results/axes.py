"""What can stand on the axes of a chart of results, and how a point of it is told in words. No widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prunetui.metrics import COSTS, DROP, SECONDS, SIZE, SIZES, Metric, Metrics
from prunetui.results.summary import Figure, Line, Series, front, human, is_only_masks, series


@dataclass(frozen=True)
class Axis:
    """A figure of a line of results that can stand on an axis."""

    metric: Metric
    level: str = ""
    """The figure of the dense network that is drawn as a level, where there is one."""
    always: bool = True
    """Whether it is offered where nothing has this figure."""

    @property
    def key(self) -> str:
        return self.metric.key

    @property
    def words(self) -> str:
        return self.metric.title

    def text(self, figure: Figure | None) -> str:
        """A figure as it is told."""
        if figure is None:
            return f"no {self.words}"
        if self.metric.format == SIZE:
            return f"{human(figure.mean)} {self.words}"
        digits = self.metric.digits
        if figure.spread is not None and round(figure.spread, digits) == 0:  # the same in every seed
            figure = Figure(figure.mean, None)
        return f"{self.words} {figure.text(digits)}{self.metric.suffix}"


USUAL = ("sparsity", "params", "macs", "bytes", "latency_ms")
"""Figures that are offered along x in any case, and told of every point."""
X_AXES = tuple(Axis(metric, always=metric.key in USUAL) for metric in (*SIZES, *COSTS, SECONDS) if metric.on_axes)


def y_axes(metrics: Metrics) -> tuple[Axis, ...]:
    """What can stand along y: the primary metric in several stages first."""
    dense = metrics.dense.key
    own = (
        Axis(metrics.primary, dense),
        Axis(metrics.before, dense),
        Axis(metrics.drop, DROP),
        Axis(metrics.validation),
    )
    return (*own, *(Axis(metric) for metric in metrics.others if metric.averaged and metric.on_axes))


TIMED = ("latency_ms", "latency128_ms")
"""Figures that are compared only where they were timed with the same runtime."""
Point = tuple[int, int]
"""Place of a series, and of a point in it."""


def axis(axes: Sequence[Axis], key: str) -> Axis:
    """The axis of a figure; the first for one that is not known."""
    return next((one for one in axes if one.key == key), axes[0])


def offered(axes: Sequence[Axis], lines: Sequence[Line], current: Axis) -> list[Axis]:
    """The axes to choose from: those that something has a figure for, and the usual ones in any case."""
    return [one for one in axes if one.always or one is current or any(one.key in line.figures for line in lines)]


def after(axes: Sequence[Axis], current: Axis, by: int) -> Axis:
    """The next axis, or the one before."""
    return axes[(axes.index(current) + by) % len(axes)]


def curves(lines: Sequence[Line], x: Axis, y: Axis) -> tuple[Series, ...]:
    """One series a method; a method without these figures has an empty one, so that all keep their looks."""
    found = {curve.label: curve for curve in series(lines, x.key, y.key)}
    names = dict.fromkeys(curve.label for curve in series(lines, "sparsity", "sparsity"))
    return tuple(found.get(name, Series(name, (), (), ())) for name in names | dict.fromkeys(found))


def level(lines: Sequence[Line], y: Axis) -> float | None:
    """Where the dense network lies; None when dense networks differ or this is not measured of them."""
    if y.key == DROP:
        return 0.0
    found = [line.figures[y.level].mean for line in lines if y.level in line.figures]
    return found[0] if found and max(found) - min(found) < y.metric.least_seen else None


def runtimes(shown: Sequence[Series], x: Axis) -> list[str]:
    """What the points were timed with, the most common first; empty where ``x`` is no latency of the processor's."""
    if x.key not in TIMED:
        return []
    return [runtime for runtime, _ in Counter(line.runtime for curve in shown for line in curve.of).most_common()]


def best(shown: Sequence[Series], x: Axis, y: Axis) -> tuple[tuple[float, float], ...]:
    """The points that no other beats; of latencies, among those that were timed with the most common runtime."""
    usual = runtimes(shown, x)[:1]
    points = [
        (at, value)
        for curve in shown
        for i, (at, value) in enumerate(zip(curve.x, curve.y, strict=True))
        if not usual or curve.of[i].runtime in usual
    ]
    return tuple(points[i] for i in front(points, x.metric.higher_is_better, y.metric.higher_is_better))


def told(line: Line, x: Axis, y: Axis, is_best: bool = False) -> str:
    """A point in words: what it is, and what was measured of it; two lines of a narrow screen."""
    figures = line.figures
    first = [line.label, line.schedule if line.schedule != "one-shot" else "", line.target]
    shown = [y.text(figures.get(y.key))]
    primary = Axis(line.metrics.primary)
    shown += [primary.text(line.primary)] if y.key != primary.key else []
    shown += ["on the front"] if is_best else []
    usual = [one for one in X_AXES if one.always]
    shown += [one.text(figures[one.key]) for one in (x, *usual) if one.key in figures]
    seeds = f"{line.seeds} seed{'s' if line.seeds != 1 else ''}"
    shown += [seeds + (f", {line.failed} failed" if line.failed else "")]
    shown += [line.runtime] if is_only_masks(line) else []
    return f"{' '.join(word for word in first if word)}: {', '.join(dict.fromkeys(shown))}"


def nearest(shown: Sequence[tuple[int, Series]], point: Point | None, aside: int, across: int) -> Point | None:
    """The point that lies ``aside`` places further in its series, or ``across`` series further at the nearest x."""
    full = [(i, curve) for i, curve in shown if curve.x]
    if not full:
        return None
    place = next((n for n, (i, _) in enumerate(full) if point and i == point[0]), None)
    if point is None or place is None:
        return full[0][0], 0
    curve = full[place][1]
    at = min(point[1], len(curve.x) - 1)
    if aside:
        return full[place][0], max(0, min(len(curve.x) - 1, at + aside))
    other, target = full[(place + across) % len(full)]
    return other, min(range(len(target.x)), key=lambda i: abs(target.x[i] - curve.x[at]))
