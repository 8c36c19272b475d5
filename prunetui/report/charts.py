"""The charts of a report: those of the Results screen, as drawings that stand in a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prunetui.metrics import OF_ANY_RUN, Metrics
from prunetui.report.drawing import inline
from prunetui.report.sentences import capital
from prunetui.results.axes import TIMED, X_AXES, Axis, axis, best, curves, level, runtimes, y_axes
from prunetui.results.chart import Picture
from prunetui.results.figure import figure_bytes
from prunetui.results.summary import Line, Series

INCHES = (5.6, 3.5)
"""Without the legend."""
SPREAD_OUT = 4.0
"""An axis is logarithmic where its largest value is this many times its smallest."""
NOT_ZERO = Axis(OF_ANY_RUN["params_nonzero"])
SPARSITY = axis(X_AXES, "sparsity")
COSTS = (NOT_ZERO, axis(X_AXES, "params"), axis(X_AXES, "macs"), *(axis(X_AXES, key) for key in TIMED))
X_LABELS = {
    "sparsity": "fraction of prunable weights removed",
    "params": "parameters",
    "macs": "MACs of one image",
    "latency_ms": "latency of one image, ms of one CPU thread",
    "latency128_ms": "latency of a batch of 128 images, ms of one CPU thread",
}


def y_labels(metrics: Metrics) -> dict[str, str]:
    """What stands along y."""
    words = {metrics.primary.key: "on the test split", metrics.before.key: "before recovery training"}
    unit = f", {metrics.primary.unit}" if metrics.primary.unit else ""
    return {key: f"{metrics.primary.title} {where}{unit}" for key, where in words.items()}


@dataclass(frozen=True)
class Chart:
    """A drawing with what is said above and below it."""

    name: str
    title: str
    caption: str
    svg: str


def main_picture(lines: Sequence[Line], metrics: Metrics) -> Picture:
    """The primary metric against sparsity."""
    return picture_of(lines, SPARSITY, y_axes(metrics)[0], with_front=False)


def charts(lines: Sequence[Line], metrics: Metrics, prefix: str = "") -> list[Chart]:
    """Every chart that there is something to see in; the primary metric against sparsity first.

    ``prefix`` tells the names of several lots on one page apart.
    """
    primary, before = y_axes(metrics)[:2]
    pairs = [(SPARSITY, primary), (SPARSITY, before), *((cost, primary) for cost in COSTS)]
    labels = y_labels(metrics)
    found = [_chart(lines, x, y, labels[y.key], prefix) for x, y in pairs]
    return [chart for chart in found if chart is not None]


def _chart(lines: Sequence[Line], x: Axis, y: Axis, label: str, prefix: str) -> Chart | None:
    picture = picture_of(lines, x, y, with_front=x is not SPARSITY)
    if not any(curve.x for _, curve in picture.shown):
        return None
    name = f"{prefix}{y.key}-{x.key}"
    title = f"{capital(y.words)} against {x.words}"
    drawn = figure_bytes(picture, "", label, "svg", INCHES, legend_below=True)
    return Chart(name, title, _caption(picture, x), inline(drawn, name, title))


def picture_of(lines: Sequence[Line], x: Axis, y: Axis, with_front: bool) -> Picture:
    found = curves(lines, x, y)
    hidden = (_unmoved(found) if x in COSTS[1:] else frozenset()) | {curve.label for curve in found if not curve.x}
    shown = [curve for curve in found if curve.label not in hidden]
    xs = [value for curve in shown for value in curve.x]
    log = x is not SPARSITY and len(xs) > 0 and min(xs) > 0 and max(xs) / min(xs) >= SPREAD_OUT
    front = best(shown, x, y) if with_front else ()
    label = X_LABELS.get(x.key, x.words)
    return Picture(found, level(lines, y), y.metric, "", label, log, hidden, front=front if len(front) > 1 else ())


def _unmoved(found: Sequence[Series]) -> frozenset[str]:
    """Methods whose cost is the same at every target, if others' is not: masks leave shapes as they are."""
    still = {curve.label for curve in found if len(set(curve.x)) == 1 < len(curve.x)}
    return frozenset(still) if len(still) < sum(bool(curve.x) for curve in found) else frozenset()


def _caption(picture: Picture, x: Axis) -> str:
    words = ["Error bars: sample standard deviation over seeds."] * any(any(c.spread) for _, c in picture.shown)
    words += ["Dotted: what no other beats (Pareto front)."] * bool(picture.front)
    words += _timed(picture, x)
    hidden = [curve for curve in picture.series if curve.label in picture.hidden]
    still, unknown = [curve.label for curve in hidden if curve.x], [curve.label for curve in hidden if not curve.x]
    words += [f"Left out, for {x.words} stay the same at every sparsity: {', '.join(still)}."] * bool(still)
    words += [f"Not measured of {', '.join(unknown)}."] * bool(unknown)
    return " ".join(words)


def _timed(picture: Picture, x: Axis) -> list[str]:
    """With what latencies were timed, and which of them not with the same."""
    shown = [curve for _, curve in picture.shown]
    usual, *others = runtimes(shown, x) or [""]
    words = [f"Processor time of a pass in {usual} on one CPU thread."] if usual else []
    for other in others:
        labels = ", ".join(curve.label for curve in shown if any(line.runtime == other for line in curve.of))
        words.append(
            f"Timed with {other or 'a runtime that is not noted'}, so no part of the front: points of {labels}."
        )
    return words
