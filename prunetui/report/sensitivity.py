"""What a sensitivity study shows, method by method: a sentence and a table of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def sensitivity_tables(found: Sequence[Sensitivity], dense: float | None) -> list[SensitivityTable]:
    """A table for each method, a row a layer or group of coupled layers; ``dense`` is its top-1 in percent."""
    methods = dict.fromkeys(one.method for one in found)
    return [_table(method, [one for one in found if one.method == method], dense) for method in methods]


def _table(method: str, of: Sequence[Sensitivity], dense: float | None) -> SensitivityTable:
    targets = list(dict.fromkeys(target for one in of for target in one.figures))
    rows = [
        [" + ".join(one.layers), *(one.figures[t].text() if t in one.figures else one.skipped or "-" for t in targets)]
        for one in of
    ]
    titles = ["layer, or coupled layers", *(f"{target_words(target)}, top-1 %" for target in targets)]
    return SensitivityTable(method, tuple(of), sensitivity_words(method, of, dense), titles, rows)


def sensitivity_words(method: str, of: Sequence[Sensitivity], dense: float | None) -> str:
    """Which layer hurts most and least at the strongest target, and how many were not pruned."""
    skipped = sum(bool(one.skipped) for one in of)
    rest = f" {skipped} not pruned." if skipped else ""
    targets = list(dict.fromkeys(target for one in of for target in one.figures))
    if not targets:
        return f"{method}: no layer is measured.{rest}"
    there = [(one.figures[targets[-1]].mean, " + ".join(one.layers)) for one in of if targets[-1] in one.figures]
    worst, best = min(there), max(there)
    level = f" (dense {dense:.2f} %)" if dense is not None else ""
    return (
        f"{method} at {target_words(targets[-1])}, one layer or coupled group at a time{level}: most sensitive is "
        f"{worst[1]} with {worst[0]:.2f} %, least {best[1]} with {best[0]:.2f} %.{rest}"
    )
