"""Which of the attributes that may follow a group's width have to: found by trying, as few as are needed.

Modules of one kind take the same: what the first block needed is taken for the others, and proved with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from torch import nn

from prunetui.api.groups import Group
from prunetui.engine.tracing.probe import Probe, Prober
from prunetui.engine.tracing.proposal import AttributeRule

Rules = tuple[AttributeRule, ...]
MOST_TRIES = 40
"""Of one group."""
Pattern = tuple[tuple[str, str, int], ...]


def misfit(model: nn.Module, rule: AttributeRule, groups: dict[str, Group], rules: Sequence[AttributeRule]) -> str:
    """Why a rule cannot hold whatever is pruned; empty if it can."""
    where = f"{rule.module}.{rule.attribute}"
    group = groups.get(rule.group)
    try:
        value = getattr(model.get_submodule(rule.module), rule.attribute)
    except AttributeError:
        return f"there is no {where}"
    if group is None:
        return f"{where} follows {rule.group}, which is no group"
    if not isinstance(value, int) or isinstance(value, bool):
        return f"{where} is {value!r}, no integer"
    alone = Counter((other.module, other.attribute) for other in rules)[(rule.module, rule.attribute)] == 1
    if alone and value != rule.each * group.width + rule.fixed:
        return f"{where} is {value}, not {rule.each} x {group.width} + {rule.fixed}"
    return ""


class AttributeSearch:
    """Chooses the rules of groups, one group after the other."""

    def __init__(self, prober: Prober, probes: Sequence[Probe]) -> None:
        self._prober = prober
        self._probes = probes
        self._known: dict[Pattern, tuple[int, ...]] = {}
        self._failed: Counter[Pattern] = Counter()
        """How many groups held with no choice: after two, their like are not tried."""

    def choose(self, group: Group, candidates: Rules, afresh: bool = False) -> None:
        """Give the prober the rules of a group: the fewest with which it holds, or none if it never does.

        By one probe and by what its like took; ``afresh``, by all probes.
        """
        pattern = self._pattern(candidates)
        if self._failed[pattern] >= 2:
            self._prober.rules[group.name] = ()
            return
        if pattern in self._known and not afresh:
            self._prober.rules[group.name] = tuple(candidates[i] for i in self._known[pattern])
            return
        probes = self._probes if afresh else self._probes[:1]
        for tried, chosen in enumerate(_choices(len(candidates))):
            if tried == MOST_TRIES:
                break
            if self._holds(group, candidates, chosen, probes):
                chosen = self._fewest(group, candidates, chosen, probes)
                self._known[pattern] = chosen
                self._prober.rules[group.name] = tuple(candidates[i] for i in chosen)
                return
        self._prober.rules[group.name] = ()
        self._failed[pattern] += 1

    def _pattern(self, candidates: Rules) -> Pattern:
        kinds = [type(self._prober.network.model.get_submodule(rule.module)).__qualname__ for rule in candidates]
        return tuple((kind, rule.attribute, rule.each) for kind, rule in zip(kinds, candidates, strict=True))

    def _holds(self, group: Group, candidates: Rules, chosen: Sequence[int], probes: Sequence[Probe]) -> bool:
        self._prober.rules[group.name] = tuple(candidates[i] for i in chosen)
        return self._prober.fails([group], probes) is None

    def _fewest(
        self, group: Group, candidates: Rules, chosen: tuple[int, ...], probes: Sequence[Probe]
    ) -> tuple[int, ...]:
        """Without those that it holds without."""
        left = chosen
        for i in chosen:
            without = tuple(j for j in left if j != i)
            left = without if self._holds(group, candidates, without, probes) else left
        return left


def _choices(count: int) -> Iterator[tuple[int, ...]]:
    """None, all, each alone, all but one, then pairs and triples."""
    every = tuple(range(count))
    yield ()
    seen: set[tuple[int, ...]] = {()}
    few = [part for size in (2, 3) for part in combinations(every, size)]
    singles = [(i,) for i in every]
    for chosen in [every, *singles, *(tuple(j for j in every if j != i) for i in every), *few]:
        if chosen not in seen:
            seen.add(chosen)
            yield chosen
