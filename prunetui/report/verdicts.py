"""Who wins at each target, and whether that can be said: the figures behind the sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prunetui.report.paired import BySeed, PairedTest, all_pairs
from prunetui.results.summary import Figure, Line, named


@dataclass(frozen=True)
class Verdict:
    """One target: every method that has it, the best one first."""

    target: str
    ranking: tuple[tuple[str, Figure], ...]
    """(method, top-1 in percent), best mean first."""
    tests: tuple[PairedTest, ...]

    @property
    def winner(self) -> str:
        return self.ranking[0][0]

    def against(self) -> list[PairedTest]:
        """The tests of the winner, seen from it, the closest rival first."""
        place = {name: i for i, (name, _) in enumerate(self.ranking)}
        own = [test.seen_from(self.winner) for test in self.tests if self.winner in (test.first, test.second)]
        return sorted(own, key=lambda test: place[test.second])


def verdicts(lines: Iterable[Line]) -> list[Verdict]:
    """A verdict for every target that a method reached, in the order of the table; controls are not among them."""
    found: dict[str, dict[str, tuple[Figure, BySeed]]] = {}
    for name, line in named(lines):
        if line.method != "dense" and "top1" in line.figures:
            found.setdefault(line.target, {})[name] = line.figures["top1"], by_seed(line)
    return [_verdict(target, of) for target, of in sorted(found.items(), key=lambda item: _order(item[0]))]


def contested(found: Iterable[Verdict]) -> list[Verdict]:
    """Those of targets that two methods have or more."""
    return [verdict for verdict in found if len(verdict.ranking) > 1]


def _order(target: str) -> tuple[str, float]:
    kind, _, value = target.partition(":")
    try:
        return kind, float(value)
    except ValueError:
        return kind, 0.0


def _verdict(target: str, of: Mapping[str, tuple[Figure, BySeed]]) -> Verdict:
    ranking = sorted(((name, figure) for name, (figure, _) in of.items()), key=lambda one: -one[1].mean)
    return Verdict(target, tuple(ranking), tuple(all_pairs({name: seeds for name, (_, seeds) in of.items()})))


def by_seed(line: Line) -> dict[str, float]:
    """Top-1 after recovery of each seed that was done, in percent."""
    return {str(row.get("seed")): float(row["top1"]) for row in line.of if row.get("top1") not in (None, "")}


WITHIN = 1.0
"""Points below the control that count as little."""


@dataclass(frozen=True)
class Reach:
    """How far one method goes before it loses more than ``WITHIN`` points against the control."""

    method: str
    line: Line | None
    """The furthest that is within; None when even the mildest is not."""


def reaches(lines: Iterable[Line]) -> list[Reach]:
    """For each method, its most sparse line that stays within ``WITHIN`` points of the control, by their means."""
    groups: dict[str, list[Line]] = {}
    for name, line in named(lines):
        if line.method != "dense" and {"top1", "top1_control", "sparsity"} <= line.figures.keys():
            groups.setdefault(name, []).append(line)
    return [Reach(name, _furthest(of)) for name, of in groups.items()]


def _furthest(of: Sequence[Line]) -> Line | None:
    within = [line for line in of if lost(line) <= WITHIN]
    return max(within, key=lambda line: line.figures["sparsity"].mean, default=None)


def lost(line: Line) -> float:
    """Points of top-1 below the control, on average over the seeds."""
    return line.figures["top1_control"].mean - line.figures["top1"].mean
