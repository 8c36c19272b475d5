"""What a sensitivity study shows, method by method: a sentence and a table of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prunetui.metrics import Metric
from prunetui.report.sentences import target_words
from prunetui.results.summary import Sensitivity


@dataclass(frozen=True)
class SensitivityTable:
    """One method of a sensitivity study."""

    method: str
    of: tuple[Sensitivity, ...]
    words: str
    titles: list[str]
    rows: list[list[str]]


def sensitivity_tables(found: Sequence[Sensitivity], dense: float | None, metric: Metric) -> list[SensitivityTable]:
    """A table for each method, a row a layer or group of coupled layers; ``dense`` is that of the dense network."""
    methods = dict.fromkeys(one.method for one in found)
    return [_table(method, [one for one in found if one.method == method], dense, metric) for method in methods]


def _table(method: str, of: Sequence[Sensitivity], dense: float | None, metric: Metric) -> SensitivityTable:
    targets = list(dict.fromkeys(target for one in of for target in one.figures))
    rows = [[" + ".join(one.layers), *(figures(one, target, metric) for target in targets)] for one in of]
    titles = ["layer, or coupled layers", *(f"{target_words(target)}, {metric.titled(' ')}" for target in targets)]
    return SensitivityTable(method, tuple(of), sensitivity_words(method, of, dense, metric), titles, rows)


def figures(one: Sensitivity, target: str, metric: Metric) -> str:
    """What is left at a target, or why there is no figure."""
    return one.figures[target].text(metric.digits) if target in one.figures else one.skipped or "-"


def sensitivity_words(method: str, of: Sequence[Sensitivity], dense: float | None, metric: Metric) -> str:
    """Which layer hurts most and least at the strongest target, and how many were not pruned."""
    skipped = sum(bool(one.skipped) for one in of)
    rest = f" {skipped} not pruned." if skipped else ""
    targets = list(dict.fromkeys(target for one in of for target in one.figures))
    if not targets:
        return f"{method}: no layer is measured.{rest}"
    there = [
        (metric.goodness(one.figures[targets[-1]].mean), " + ".join(one.layers))
        for one in of
        if targets[-1] in one.figures
    ]
    worst, best = ((metric.text(metric.goodness(good)), layers) for good, layers in (min(there), max(there)))
    level = f" (dense {metric.text(dense)})" if dense is not None else ""
    return (
        f"{method} at {target_words(targets[-1])}, one layer or coupled group at a time{level}: most sensitive is "
        f"{worst[1]} with {worst[0]}, least {best[1]} with {best[0]}.{rest}"
    )
