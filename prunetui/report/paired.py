"""Whether one method beats another over seeds: paired t-tests, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, stdev

from prunetui.metrics import Metric

NAME = "two-sided paired t-test over seeds"
LEVEL = 0.05
"""A corrected p below it counts as a difference that exceeds the spread over seeds."""
ONE_SEED = "one seed: no test possible"
NO_SEED = "no seed in common: no test possible"
NO_SPREAD = "the same difference in every seed: a t-test needs spread"

BySeed = Mapping[str, float]
"""The primary metric by the name of the seed."""


def rounding(metric: Metric) -> float:
    """By how much equal differences may differ: figures are saved with a few decimals."""
    return 2.0 * 10.0**-metric.decimals


@dataclass(frozen=True)
class PairedTest:
    """``first`` against ``second`` over the seeds that both have."""

    first: str
    second: str
    metric: Metric
    seeds: int
    difference: float = 0.0
    """Mean of first - second over the shared seeds, as the metric counts."""
    spread: float | None = None
    """Sample standard deviation of these differences."""
    p: float | None = None
    """As it comes from the test; None where there can be none."""
    p_holm: float | None = None
    """Corrected for all pairs of the same target."""
    pairs: int = 0
    """How many pairs it was corrected for."""
    why_not: str = ""
    """Why there is no p."""
    unshared: int = 0
    """Seeds that only one of them has: over all of its own a method's mean is another."""

    @property
    def advantage(self) -> float:
        """By how much ``first`` is better on average over the shared seeds; negative where it is worse."""
        return self.metric.goodness(self.difference)

    @property
    def exceeds(self) -> bool:
        """Whether the difference exceeds the spread over seeds."""
        return self.p_holm is not None and self.p_holm < LEVEL

    @property
    def leads(self) -> bool:
        """Whether ``first`` is ahead beyond the spread over seeds."""
        return self.exceeds and self.advantage > 0

    @property
    def trails(self) -> bool:
        """Whether ``first`` is behind over the shared seeds, significantly or not."""
        return self.advantage < -rounding(self.metric)

    def seen_from(self, name: str) -> PairedTest:
        """The same test with ``name`` first."""
        if name == self.first:
            return self
        return replace(self, first=self.second, second=self.first, difference=-self.difference)


def paired_test(first: str, second: str, a: BySeed, b: BySeed, metric: Metric) -> PairedTest:
    """Student's paired t-test of two methods; the seeds that only one has are left out.

    Two seeds are the least. Where all differences are equal there is no spread to test against, and no p, for a t-test
    would be sure of a single image; no difference at all is p = 1.
    """
    return _with_p([_compared(first, second, a, b, metric)])[0]


def _compared(first: str, second: str, a: BySeed, b: BySeed, metric: Metric) -> tuple[PairedTest, list[float]]:
    """All but p, and the differences that p is to be computed of; none of these where it is clear without."""
    shared = [seed for seed in a if seed in b]
    differences = [a[seed] - b[seed] for seed in shared]
    found = PairedTest(first, second, metric, len(shared), unshared=len(set(a) ^ set(b)))
    if len(shared) < 2:
        return replace(found, difference=sum(differences), why_not=ONE_SEED if shared else NO_SEED), []
    found = replace(found, difference=fmean(differences), spread=stdev(differences))
    equal = rounding(metric)
    if max(differences) - min(differences) > equal:
        return found, differences
    return (replace(found, p=1.0) if abs(found.difference) <= equal else replace(found, why_not=NO_SPREAD)), []


def _with_p(found: Sequence[tuple[PairedTest, list[float]]]) -> list[PairedTest]:
    """One call of scipy for all pairs of as many seeds: thousands of single calls would take seconds."""
    from scipy.stats import ttest_1samp  # the paired test is the one-sample test of the differences

    tests = [test for test, _ in found]
    for count in {len(differences) for _, differences in found if differences}:
        places = [i for i, (_, differences) in enumerate(found) if len(differences) == count]
        ps = ttest_1samp([found[i][1] for i in places], 0.0, axis=1).pvalue
        for i, p in zip(places, ps, strict=True):
            tests[i] = replace(tests[i], p=float(p))
    return tests


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): the chance of even one false difference among all stays as said.

    The i-th smallest of n (from 0) is multiplied by n - i; no corrected p is smaller than the one before it, or
    larger than 1.
    """
    corrected = [0.0] * len(ps)
    least = 0.0
    for i, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, ps[place] * (len(ps) - i)))
        corrected[place] = least
    return corrected


def all_pairs(contenders: Mapping[str, BySeed], metric: Metric) -> list[PairedTest]:
    """Every pair, corrected for their number: the best is found by the same figures, so every pair is looked at."""
    tests = _with_p([_compared(a, b, contenders[a], contenders[b], metric) for a, b in combinations(contenders, 2)])
    ps = [test.p for test in tests if test.p is not None]
    corrected = iter(holm(ps))
    return [replace(test, p_holm=next(corrected), pairs=len(ps)) if test.p is not None else test for test in tests]
