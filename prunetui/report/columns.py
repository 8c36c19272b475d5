"""The table of results as text: which columns there is something to say in, and in which units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prunetui.metrics import Metrics
from prunetui.report.sentences import target_words
from prunetui.results.summary import Figure, Line, human

GONE = "-"


@dataclass(frozen=True)
class ReportColumn:
    """A column: what stands above it, what each line says in it."""

    title: str
    cell: Callable[[Line], str]
    right: bool = True
    figure: str = ""
    """The figure that it shows; empty for words."""


def size(figure: Figure) -> str:
    """``68.64k ±0.12k``, without a spread that rounds to nothing."""
    mean, spread = human(figure.mean), human(figure.spread or 0.0)
    return mean if figure.spread is None or figure.spread < figure.mean / 2000 else f"{mean} ±{spread}"


def fraction(figure: Figure) -> str:
    """``0.9000``; the same in every seed but for rounding."""
    return f"{figure.mean:.4f}"


def digits(count: int) -> Callable[[Figure], str]:
    """As many decimals."""
    return lambda figure: figure.text(count)


Shown = tuple[str, str, Callable[[Figure], str]]
"""Key, title and text of a figure."""
OF_ANY_RUN: tuple[Shown, ...] = (
    ("sparsity", "sparsity", fraction),
    ("params", "parameters", size),
    ("params_nonzero", "not zero", size),
    ("macs", "MACs", size),
    ("bytes", "file, bytes", size),
    ("latency_ms", "latency of 1, ms", digits(3)),
    ("latency128_ms", "latency of 128, ms", digits(2)),
)


def of_task(metrics: Metrics) -> list[Shown]:
    """The primary metric before and after recovery beside dense networks and controls, then the others."""
    own = {
        metrics.before: f"{metrics.primary.title} before", metrics.primary: metrics.primary.title,
        metrics.dense: "dense", metrics.control: "control",
        **{other: other.title for other in metrics.in_tables},
    }  # fmt: skip
    return [(of.key, replace(of, title=title).titled(), digits(of.digits)) for of, title in own.items()]


def columns(lines: Sequence[Line], metrics: Metrics) -> list[ReportColumn]:
    """Those in which any line says something; the schedule only where there are several."""
    found = [ReportColumn("method", lambda line: line.label, right=False)]
    if len({line.schedule for line in lines if line.method != "dense"}) > 1:
        found.append(ReportColumn("schedule", lambda line: line.schedule, right=False))
    found.append(ReportColumn("target", lambda line: target_words(line.target), right=False))
    said = [one for one in (*OF_ANY_RUN, *of_task(metrics)) if _says_something(one[0], lines, metrics)]
    found += [_figure(*one) for one in said]
    return [*found, ReportColumn("seeds", seeds)]


def _says_something(key: str, lines: Sequence[Line], metrics: Metrics) -> bool:
    """Whether any line has this figure; the dense level only where it is not the same for all."""
    found = [line.figures[key].mean for line in lines if key in line.figures]
    return bool(found) and (key != metrics.dense.key or max(found) - min(found) >= metrics.dense.least_seen)


def _figure(key: str, title: str, text: Callable[[Figure], str]) -> ReportColumn:
    return ReportColumn(title, lambda line: text(line.figures[key]) if key in line.figures else GONE, figure=key)


def seeds(line: Line) -> str:
    """``3``, or ``2 of 3`` where one was not done."""
    return f"{line.seeds}" if len(line.of) == line.seeds else f"{len(line.of)} of {line.seeds}"
