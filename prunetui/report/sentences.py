"""What the figures say, in plain sentences that claim no more than their tests allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from prunetui.metrics import Metric
from prunetui.report.paired import LEVEL, NAME, PairedTest
from prunetui.report.verdicts import WITHIN, Reach, Verdict, contested, lost
from prunetui.results.summary import Figure, Line, human

NAMED = 4
"""Rivals that are named in a sentence; the table of tests has them all."""
LISTED = 10
"""Methods in a list of all."""
FEW_SEEDS = 5
"""Below which a t-test finds little."""
NOT_ALIKE = (
    "Equal sparsity is not equal cost: masks leave shapes, so parameters, MACs and latency stay dense; "
    "removed channels shrink all three."
)


def target_words(target: str) -> str:
    """``sparsity:0.5`` -> ``sparsity 0.5``."""
    return target.replace(":", " ", 1)


def alone_words(found: Sequence[Verdict]) -> list[str]:
    """The methods that share no target with another, one sentence for each kind of target."""
    alone: dict[tuple[str, str], list[str]] = {}
    for verdict in found:
        if len(verdict.ranking) == 1:
            kind, _, value = verdict.target.partition(":")
            alone.setdefault((verdict.winner, kind), []).append(value)
    return [
        f"{name} has no rival at {kind} {', '.join(values)}: nothing to compare there."
        for (name, kind), values in alone.items()
    ]


def verdict_words(verdict: Verdict) -> str:
    """Who is best at a target that two methods have or more, and against whom that can be said."""
    name, figure = verdict.ranking[0]
    head = f"{name} has the best mean, {shown(figure, verdict.metric)}"
    tests = verdict.against()
    sure = [test for test in tests if test.leads]
    behind = [test for test in tests if test.trails]
    unsure = [test for test in tests if test.p is not None and not test.leads and not test.trails]
    parts = [f"its lead exceeds the spread over seeds against {_rivals(sure)}"] if sure else []
    if unsure:
        words = "does not confirm that against" if sure else "confirms no lead beyond their spread:"
        parts.append(f"with {_range({test.seeds for test in unsure})} seeds the test {words} {_rivals(unsure)}")
    untested = [test for test in tests if test.p is None and not test.trails]
    reasons = dict.fromkeys(test.why_not for test in untested)
    parts += [f"{why} (against {_rivals([test for test in untested if test.why_not == why])})" for why in reasons]
    parts += [_ahead(test) for test in behind[:NAMED]]
    parts += [f"so are {len(behind) - NAMED} more"] * (len(behind) > NAMED)
    return f"{head}; {'; '.join(parts)}."


def _ahead(test: PairedTest) -> str:
    """Of a rival with the lower mean over its own seeds that is ahead where both have a figure."""
    how = _p(test) or f", {test.why_not}"
    return f"over the {_shared(test)} {test.second} is ahead by {test.metric.number(-test.advantage)} ({how[2:]})"


def _shared(test: PairedTest) -> str:
    return f"{test.seeds} shared seeds" if test.seeds != 1 else "one shared seed"


def _rivals(tests: Sequence[PairedTest]) -> str:
    said = [f"{test.second} ({points(test.difference, test.metric)}{_over(test)}{_p(test)})" for test in tests[:NAMED]]
    return ", ".join(said) + (f" and {len(tests) - NAMED} more" if len(tests) > NAMED else "")


def _over(test: PairedTest) -> str:
    """Over which seeds a difference is, where it is not that of the two means."""
    return f" over the {_shared(test)}" if test.unshared and test.seeds else ""


def points(difference: float, metric: Metric) -> str:
    """``+0.83``; what rounds to nothing has no minus."""
    return f"{round(difference, metric.digits) + 0.0:+.{metric.digits}f}"


def _p(test: PairedTest) -> str:
    if test.p_holm is None:
        return ""
    return ", p < 0.001" if test.p_holm < 0.001 else f", p = {test.p_holm:.3f}"


def shown(figure: Figure, metric: Metric) -> str:
    """``95.56 ±0.28 %``."""
    return figure.text(metric.digits) + metric.suffix


def capital(words: str) -> str:
    """``Top-1`` for the start of a sentence; ``mIoU`` is written so everywhere."""
    first = words.split(" ")[0]
    return words if first != first.lower() else f"{words[0].upper()}{words[1:]}"


def how_tested(found: Iterable[Verdict]) -> str:
    """The test by name, its seeds and its correction; empty when nothing could be tested."""
    tests = [test for verdict in found for test in verdict.tests if test.p is not None]
    if not tests:
        return ""
    seeds, pairs = _range({test.seeds for test in tests}), _range({test.pairs for test in tests})
    of = " or ".join(dict.fromkeys(test.metric.title for test in tests))
    few = " So few seeds show only large and steady differences." if min(t.seeds for t in tests) < FEW_SEEDS else ""
    return (
        f"Tested by a {NAME} ({seeds} shared seeds), on {of} after recovery, for every pair of methods at the same "
        f"target; each p is corrected by Holm's method for the {pairs} pairs of its target, not over targets. "
        f"A lead is said to exceed the spread over seeds, or to be significant, where that p is below {LEVEL}.{few}"
    )


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def summary(found: Sequence[Verdict]) -> list[str]:
    """The verdicts of all targets in a sentence or two; empty when no target has two methods."""
    met = contested(found)
    if not met:
        return []
    wins = Counter(verdict.winner for verdict in met).most_common()
    many = f"{len(met)} targets" if len(met) > 1 else "1 target"
    words = [f"Best mean {met[0].metric.title}, of {many}: {', '.join(f'{name} at {count}' for name, count in wins)}."]
    sure = [verdict for verdict in met if verdict.against()[0].leads]
    if all(test.p is None for verdict in met for test in verdict.tests):
        why = next(test.why_not for verdict in met for test in verdict.tests)
        return [*words, f"None of these leads is tested ({why})."]
    if not sure:
        return [*words, "At none of them does the test confirm a lead over the next best beyond the spread over seeds."]
    where = ", ".join(f"{target_words(verdict.target)} ({verdict.winner})" for verdict in sure)
    return [*words, f"The lead over the next best exceeds the spread over seeds at {where}."]


def reach_words(found: Iterable[Reach]) -> list[str]:
    """How far each method goes at little cost, the furthest first; metric by metric."""
    found = list(found)
    metrics = dict.fromkeys(reach.metric for reach in found)
    return [words for metric in metrics for words in _reach_words([one for one in found if one.metric == metric])]


def _reach_words(found: Sequence[Reach]) -> list[str]:
    far = [(reach.method, reach.line) for reach in found if reach.line is not None]
    far.sort(key=lambda one: -one[1].figures["sparsity"].mean)
    said = [f"{name} with {100 * line.figures['sparsity'].mean:.1f} % removed ({_lost(line)})" for name, line in far]
    none = [reach.method for reach in found if reach.line is None]
    metric = found[0].metric
    little = f"{WITHIN:g} point" if metric.is_percent else f"{WITHIN:g} %"
    control = "the dense control" if metric.is_percent else f"the {metric.title} of the dense control"
    words = [f"Within {little} of {control}, by the means: {_some(said, '; ')}."] if said else []
    words += [f"Never within {little} of it: {_some(none, ', ')}."] if none else []
    small = [line for _, line in far if "params" in line.figures and "macs" in line.figures]
    return words + ([_smallest(small)] if len({line.figures["params"].mean for line in small}) > 1 else [])


def _some(words: Sequence[str], between: str) -> str:
    """The first ``LISTED``, and how many there are more."""
    return between.join(words[:LISTED]) + (f" and {len(words) - LISTED} more" if len(words) > LISTED else "")


def _lost(line: Line) -> str:
    metric, worse = line.metrics.primary, lost(line)
    if metric.is_percent and metric.higher_is_better:
        return f"{metric.number(worse)} points lost" if worse > 0 else f"{metric.number(-worse)} points above it"
    return f"worse by {metric.text(worse)}" if worse > 0 else f"better by {metric.text(-worse)}"


def _reached(line: Line) -> str:
    return f", {shown(line.primary, line.metrics.primary)}" if line.primary else ""


def _smallest(lines: Sequence[Line]) -> str:
    line = min(lines, key=lambda line: line.figures["params"].mean)
    params, macs = human(line.figures["params"].mean), human(line.figures["macs"].mean)
    return (
        f"The physically smallest of these networks: {line.label} at {target_words(line.target)}, "
        f"{params} parameters and {macs} MACs{_reached(line)}."
    )
