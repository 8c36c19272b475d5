"""Every group of channels is proved on this very network before it is used.

A group is right when its channels removed compute what they compute silenced, whatever comes out, in training and in
evaluation mode, with every example; when silencing them changes something; and when all groups together are right as
well. What is not is pinned, with the reason in words. The network that is given is never touched.

All groups are put to the proof together, since most are right; only where that fails are they told apart. Further
probes take some groups and leave others whole, such that any two are told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from prunetui.api.groups import Group
from prunetui.engine.layers import DoesNotFit, following_attributes
from prunetui.engine.tracing.attribute_search import AttributeSearch, misfit
from prunetui.engine.tracing.check_slices import misfits
from prunetui.engine.tracing.influence import without_influence
from prunetui.engine.tracing.probe import Failure, Probe, Prober, Situation
from prunetui.engine.tracing.probe_network import Example, ProbeNetwork
from prunetui.engine.tracing.proposal import AttributeRule, Proposal
from prunetui.engine.tracing.silence import Way
from prunetui.engine.tracing.sound_subsets import failing_alone, separating_subsets, smallest_failing

VACUOUS = "silencing its channels changes nothing that comes out, so nothing is proved"


@dataclass(frozen=True)
class Proof:
    """What holds of a proposal."""

    proposal: Proposal
    """The groups that are right, the attributes that have to follow, and why all else stays."""
    pinned: Mapping[str, str] = field(default_factory=dict)
    """Groups that are not right, each with the reason."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Groups whose channels are not silent when what makes them is zero; what reads them was silenced instead."""
    notes: tuple[str, ...] = ()
    """Proposers that failed, and attributes that do not follow."""
    untried: tuple[str, ...] = ()
    """What the graph does not show, and in which modes and with which examples nothing could be tried."""
    probes: int = 0
    worst: float = 0.0
    """The largest difference of a probe that held."""
    cut_short: bool = False
    """Whether this machine had too little time or memory for it: another one may find more."""
    parts: tuple[str, ...] = ()
    """Where the network cannot be traced as a whole: the parts of it that were, and what comes out of them stays."""


def prove(model: nn.Module, proposal: Proposal, examples: Sequence[Example]) -> Proof:
    """What holds of a proposal on this network, with these examples: positional and named arguments of calls.

    Examples of two sizes, and of two to four examples a batch, see most; they should be small, for each is computed
    dozens of times.
    """
    try:
        network = ProbeNetwork(model, examples)
    except DoesNotFit as error:
        return _nothing(proposal, str(error), ())
    prober = Prober(network)
    situations, untried = prober.situations()
    unseen = (proposal.unseen,) if proposal.unseen else ()
    if not situations:
        reason = untried[0] if untried else "there is no example to compute it with"
        return _nothing(proposal, reason, (*unseen, *untried))
    return replace(_Search(proposal, prober, situations).result(), untried=(*unseen, *untried))


def _nothing(proposal: Proposal, reason: str, untried: tuple[str, ...]) -> Proof:
    pinned = {group.name: reason for group in proposal.groups}
    left = Proposal((), (), _with_pinned(proposal, pinned), proposal.products)
    return Proof(left, pinned, untried=untried)


def _with_pinned(proposal: Proposal, pinned: Mapping[str, str]) -> dict[str, str]:
    kept = dict(proposal.kept)
    for group in proposal.groups:
        for piece in group.slices if group.name in pinned else ():
            kept.setdefault(f"{piece.tensor}[{piece.dimension}]", pinned[group.name])
    return kept


class _Search:
    """Looks for the groups that hold, alone and together."""

    def __init__(self, proposal: Proposal, prober: Prober, situations: list[Situation]) -> None:
        self._proposal = proposal
        self._prober = prober
        self._situations = situations
        self._notes: list[str] = []
        self._probes = [Probe(situation, seed) for seed, situation in enumerate(situations)]
        if len(self._probes) == 1:
            self._probes.append(Probe(situations[0], 1))  # the channels that the first leaves out
        self._pinned: dict[str, str] = {}
        self._candidates = self._fitting()

    def result(self) -> Proof:
        tensors = self._prober.network.tensors
        self._pinned |= misfits(self._proposal.groups, tensors)
        vacuous = without_influence(self._left(), self._prober, self._situations)
        self._pinned |= {group.name: VACUOUS for group in vacuous}
        self._choose_attributes()
        self._pin_what_fails_alone()
        self._pin_what_fails_together()
        groups = tuple(self._left())
        rules = tuple(rule for group in groups for rule in self._prober.rules.get(group.name, ()))
        ways = {group.name: way for group in groups if (way := self._prober.ways.get(group.name))}
        kept = _with_pinned(self._proposal, self._pinned)
        proved = Proposal(groups, rules, kept, self._proposal.products)
        return Proof(proved, self._pinned, ways, tuple(self._notes), (), self._prober.count, self._prober.worst)

    def _left(self) -> list[Group]:
        return [group for group in self._proposal.groups if group.name not in self._pinned]

    def _fitting(self) -> dict[str, tuple[AttributeRule, ...]]:
        """The rules of each group that may hold, but for what torch's own layers say of their tensors: that follows."""
        model = self._prober.network.model
        groups = {group.name: group for group in self._proposal.groups}
        found: dict[str, tuple[AttributeRule, ...]] = {}
        for rule in self._proposal.attributes:
            reason = misfit(model, rule, groups, self._proposal.attributes)
            if reason:
                self._notes.append(reason)
            elif rule.attribute not in following_attributes(model.get_submodule(rule.module), {}):
                found[rule.group] = (*found.get(rule.group, ()), rule)
        return found

    def _choose_attributes(self) -> None:
        """At first by one probe each; what more probes find is found later."""
        self._search = AttributeSearch(self._prober, self._probes)
        self._all_hold = self._prober.fails(self._left(), self._probes) is None
        chosen = [group for group in self._left() if group.name in self._candidates and not self._all_hold]
        for group in chosen:
            self._search.choose(group, self._candidates[group.name])
        if chosen:
            self._all_hold = self._prober.fails(self._left(), self._probes) is None

    def _pin_what_fails_alone(self) -> None:
        if self._all_hold:
            return
        for group, failure in failing_alone(self._left(), lambda groups: self._prober.fails(groups, self._probes)):
            if not self._is_mended(group, failure):
                self._pinned[group.name] = failure.words

    def _is_mended(self, group: Group, failure: Failure) -> bool:
        """By other attributes than those of its like; or as channels that are not silent by themselves."""
        if group.name in self._candidates:
            self._search.choose(group, self._candidates[group.name], afresh=True)
            if self._prober.fails([group], self._probes) is None:
                return True
        if failure.differs and group.consumers:
            self._prober.ways[group.name] = "reads"
            if self._prober.fails([group], self._probes) is None:
                return True
            del self._prober.ways[group.name]
        return False

    def _pin_what_fails_together(self) -> None:
        while (conflict := self._conflict()) is not None:
            groups, failure = conflict
            self._all_hold = False
            least = min(groups, key=self._size)
            others = [group.name for group in groups if group is not least]
            beside = f"together with {', '.join(others)}: " if others else ""
            self._pinned[least.name] = f"{beside}{failure.words}"

    def _conflict(self) -> tuple[list[Group], Failure] | None:
        """Some groups that do not hold together, as few as possible."""
        groups = self._left()
        tried: list[tuple[list[Group], list[Probe]]] = [] if self._all_hold else [(groups, self._probes)]
        for i, subset in enumerate(separating_subsets(groups)):
            probe = Probe(self._situations[i % len(self._situations)], len(self._situations) + i)
            tried.append((subset, [probe]))
        for subset, probes in tried:
            failure = self._prober.fails(subset, probes)
            if failure is not None:
                few = smallest_failing(subset, lambda some, probes=probes: self._prober.fails(some, probes))  # type: ignore[misc]
                return few, failure
        return None

    def _size(self, group: Group) -> int:
        """How much of the network its channels are."""
        tensors = self._prober.network.tensors
        return sum(
            tensors[s.tensor].numel() * len(s.indices) * len(s.indices[0]) // tensors[s.tensor].shape[s.dimension]
            for s in group.slices
        )
