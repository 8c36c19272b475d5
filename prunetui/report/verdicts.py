"""Who wins at each target, and whether that can be said: the figures behind the sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prunetui.metrics import Metric
from prunetui.report.paired import PairedTest, all_pairs
from prunetui.results.summary import Figure, Line, named

DENSE_AGAIN = "dense-sparse-dense"
"""The schedule whose networks have what was removed again: they do not compete with those that lack it."""


@dataclass(frozen=True)
class Verdict:
    """One target: every method that has it, the best one first."""

    target: str
    ranking: tuple[tuple[str, Figure], ...]
    """(method, its primary metric), best mean first."""
    tests: tuple[PairedTest, ...]
    metric: Metric

    @property
    def winner(self) -> str:
        return self.ranking[0][0]

    def against(self) -> list[PairedTest]:
        """The tests of the winner, seen from it, the closest rival first."""
        place = {name: i for i, (name, _) in enumerate(self.ranking)}
        own = [test.seen_from(self.winner) for test in self.tests if self.winner in (test.first, test.second)]
        return sorted(own, key=lambda test: place[test.second])


def verdicts(lines: Iterable[Line]) -> list[Verdict]:
    """A verdict for every target that a method reached, in the order of the table.

    Controls are not among them, nor networks that are dense again at the end.
    """
    found: dict[str, dict[str, Line]] = {}
    for name, line in named(lines):
        if _competes(line):
            found.setdefault(line.target, {})[name] = line
    return [_verdict(target, of) for target, of in sorted(found.items(), key=lambda item: _order(item[0]))]


def dense_again(lines: Iterable[Line]) -> list[str]:
    """The names of lines that are left out, since their networks have what was removed again."""
    return list(dict.fromkeys(name for name, line in named(lines) if line.schedule.startswith(DENSE_AGAIN)))


def _competes(line: Line) -> bool:
    return line.method != "dense" and bool(line.primary) and not line.schedule.startswith(DENSE_AGAIN)


def contested(found: Iterable[Verdict]) -> list[Verdict]:
    """Those of targets that two methods have or more."""
    return [verdict for verdict in found if len(verdict.ranking) > 1]


def _order(target: str) -> tuple[str, float]:
    kind, _, value = target.partition(":")
    try:
        return kind, float(value)
    except ValueError:
        return kind, 0.0


def _verdict(target: str, of: Mapping[str, Line]) -> Verdict:
    metric = next(iter(of.values())).metrics.primary
    figures = {name: line.primary for name, line in of.items()}
    known = [(name, figure) for name, figure in figures.items() if figure]
    ranking = sorted(known, key=lambda one: -metric.goodness(one[1].mean))
    tests = all_pairs({name: by_seed(line) for name, line in of.items()}, metric)
    return Verdict(target, tuple(ranking), tuple(tests), metric)


def by_seed(line: Line) -> dict[str, float]:
    """The primary metric after recovery of each seed that was done."""
    key = line.metrics.primary.key
    return {str(row.get("seed")): float(row[key]) for row in line.of if row.get(key) not in (None, "")}


WITHIN = 1.0
"""What counts as little: points below the control of a metric in percent, else percent of the control's figure."""


@dataclass(frozen=True)
class Reach:
    """How far one method goes before it loses more than ``WITHIN`` against the control."""

    method: str
    line: Line | None
    """The furthest that is within; None when even the mildest is not."""
    metric: Metric


def reaches(lines: Iterable[Line]) -> list[Reach]:
    """For each method, its most sparse line that stays within ``WITHIN`` of the control, by their means."""
    groups: dict[str, list[Line]] = {}
    for name, line in named(lines):
        if _competes(line) and {line.metrics.control.key, "sparsity"} <= line.figures.keys():
            groups.setdefault(name, []).append(line)
    return [Reach(name, _furthest(of), of[0].metrics.primary) for name, of in groups.items()]


def _furthest(of: Sequence[Line]) -> Line | None:
    within = [line for line in of if lost(line) <= _little(line)]
    return max(within, key=lambda line: line.figures["sparsity"].mean, default=None)


def _little(line: Line) -> float:
    metrics = line.metrics
    return WITHIN if metrics.primary.is_percent else abs(line.figures[metrics.control.key].mean) * WITHIN / 100


def lost(line: Line) -> float:
    """By how much a line is worse than its control, on average over the seeds."""
    metrics = line.metrics
    return metrics.primary.lost(line.figures[metrics.control.key].mean, line.figures[metrics.primary.key].mean)
