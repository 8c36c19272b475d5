"""Networks that cannot be traced as a whole: the largest parts of them that can, each proved by itself.

Detectors choose boxes by their values, and no graph can follow that, but their backbones are networks like any other. A
part is taken where a pass calls it once, in the same way each time, and where nobody else looks at its tensors, in
evaluation nor in training. What goes in and what comes out of it stays as it is, so that the rest of the network cannot
tell.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from prunetui.engine.layers import kind_of
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.example_calls import calls_like
from prunetui.engine.tracing.export_graph import LONGEST_CAUSE, UntraceableError
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.proposers import label_graph
from prunetui.engine.tracing.prove import Proof, prove
from prunetui.engine.tracing.recorded_calls import RecordedPass, nothing_else_uses, recorded_pass

MOST_TRIED = 12
"""Parts that torch.export is tried on at most, the largest ones: a try takes seconds."""
FEWEST = 2
"""Layers of a part at least: channels within a part lie between two."""


@dataclass(frozen=True)
class TracedPart:
    """A part of a network, and one real call of it; its proposal has the part's own names."""

    name: str
    module: nn.Module
    inputs: Example
    proposal: Proposal

    def proof(self) -> Proof:
        """What holds of it, by random inputs like those of the call, under the names of the whole network."""
        return within(self.name, prove(self.module, self.proposal, calls_like(self.module, self.inputs)))


def parts_graph(model: nn.Module, examples: Sequence[Example]) -> Proof:
    """What is proved of the parts of a network that torch.export can follow.

    Raises:
        UntraceableError: it can follow none with channels that could go.
    """
    search = PartSearch(model, examples[0])
    proofs = {part.name: part.proof() for part in search.parts()}
    if not proofs:
        none = "none of its parts that are called once, and used by nobody else, can be traced"
        raise UntraceableError("; ".join((none, *search.untried)))
    return joined(model, proofs, search.untried)


class PartSearch:
    """Looks for the parts of a network that can be traced, by what a pass in each mode, and one of two, calls.

    Parts that only one mode uses, or that the modes call in different ways, are not taken.
    """

    def __init__(self, model: nn.Module, example: Example) -> None:
        self.untried: list[str] = []
        """What could not be tried, in words."""
        self._model = model
        kept = {name for name, module in model.named_modules() if name and _is_large(module)}
        twice = tree_map(_doubled, example)
        self._evaluated = recorded_pass(model, example, kept)
        unequal = "whether two examples call the parts in the same way is not known"
        self._twice = self._recorded(unequal, [twice])
        unseen = "nothing is known of what the network does with its parts in training"
        self._trained = self._recorded(unseen, [example, twice], kept, training=True)

    def parts(self) -> Iterator[TracedPart]:
        """The largest by their parameters that can be traced and have channels that may go, none within another."""
        waiting, tried = _children(self._model, ""), 0
        while waiting and tried < MOST_TRIED:
            name = heapq.heappop(waiting)[1]
            part = None
            if self._is_apart(name):
                part, tried = self._traced(name), tried + 1
            if part is None:
                waiting = list(heapq.merge(waiting, _children(self._model, name)))
            elif part.proposal.groups:
                yield part

    def _recorded(
        self, unknown: str, examples: Sequence[Example], kept: Collection[str] = (), training: bool = False
    ) -> RecordedPass | None:
        """A pass of the first example that it takes; None where it takes none, with a note of what is ``unknown``."""
        errors = []
        for example in examples:
            try:
                return recorded_pass(self._model, example, kept, training)
            except Exception as error:  # noqa: BLE001 - whatever the network's own code raises
                errors.append(error)
        self.untried.append(f"{unknown}: {_words(errors[0])}")
        return None

    def _is_apart(self, name: str) -> bool:
        """Whether each pass calls a part once and in the same way, and modules and tensors in it nowhere else."""
        passes = [one for one in (self._evaluated, self._twice, self._trained) if one]
        if not all(_calls_once(self._model, name, one) for one in passes):
            return False
        first, *others = (one.calls[name][0] for one in passes)
        if any(other.taken != first.taken for other in others):
            return False
        if self._twice and self._twice.calls[name][0].given != first.given:
            return False
        tensors = {True: set[int](), False: set[int]()}
        for own, tensor in named_tensors(self._model).items():
            tensors[own.startswith(f"{name}.")].add(id(tensor))
        return tensors[True].isdisjoint(tensors[False])

    def _traced(self, name: str) -> TracedPart | None:
        """A part with what is proposed of it; None where it cannot be traced, or others use what is in it."""
        part, inputs = self._model.get_submodule(name), self._evaluated.calls[name][0].inputs
        if not self._is_used_by_nothing_else(name):
            return None
        try:
            proposal = label_graph(part, [inputs])
        except UntraceableError:
            return None
        except Exception as error:  # noqa: BLE001 - of one part, which keeps none of the others from being traced
            self.untried.append(f"{name} is not traced: {_words(error)}")
            return None
        following = {(rule.module, rule.attribute) for rule in proposal.attributes}
        apart = not following or self._is_used_by_nothing_else(name, following)
        return TracedPart(name, part, inputs, proposal) if apart else None

    def _is_used_by_nothing_else(self, name: str, attributes: Collection[tuple[str, str]] = ()) -> bool:
        passes = [one for one in (self._evaluated, self._trained) if one]
        return all(nothing_else_uses(self._model, name, one, attributes) for one in passes)


def _words(error: Exception) -> str:
    told = str(error).strip().splitlines()
    return f"{type(error).__name__}: {told[0][:LONGEST_CAUSE]}" if told else type(error).__name__


def _doubled(value: Any) -> Any:
    return torch.cat([value, value]) if isinstance(value, Tensor) and value.dim() else value


def _is_large(module: nn.Module) -> bool:
    """Whether it may have channels within it."""
    return sum(1 for one in module.modules() if (kind := kind_of(one)) and kind.prunable) >= FEWEST


def _children(model: nn.Module, name: str) -> list[tuple[int, str]]:
    """The parts of a part that may have channels within them, the largest first."""
    found = []
    for own, part in model.get_submodule(name).named_children():
        if _is_large(part):
            size = sum(parameter.numel() for parameter in part.parameters())
            found.append((-size, f"{name}.{own}" if name else own))
    return sorted(found)


def _calls_once(model: nn.Module, name: str, seen: RecordedPass) -> bool:
    """Whether a pass calls a part once, and the modules in it within that call only."""
    inside = {id(module) for module in model.get_submodule(name).modules()}
    names = {id(module): own for own, module in model.named_modules()}  # under which its calls were recorded
    calls = chain.from_iterable(seen.calls.get(names[one], ()) for one in inside if names[one] != name)
    return len(seen.calls.get(name, ())) == 1 and all(name in call.within for call in calls)


# Of parts, the whole ----------------------------------------------------------------------------------


def joined(model: nn.Module, proofs: Mapping[str, Proof], untried: Sequence[str] = ()) -> Proof:
    """The proof of a network of those of its parts; all that lies outside of them stays."""
    names = tuple(proofs)
    which = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
    reason = f"only {which} traced"
    way = f"{which} proved for inputs that take the way of this example through the network, and for no others"
    outside = {
        f"{name}[0]": reason
        for name, tensor in named_tensors(model).items()
        if tensor.dim() and len(tensor) > 1 and not name.startswith(tuple(f"{part}." for part in names))
    }
    every = [proof.proposal for proof in proofs.values()]
    whole = Proposal(
        tuple(group for one in every for group in one.groups),
        tuple(rule for one in every for rule in one.attributes),
        {**outside, **{place: why for one in every for place, why in one.kept.items()}},
        tuple(product for one in every for product in one.products),
    )
    return Proof(
        whole,
        {group: why for proof in proofs.values() for group, why in proof.pinned.items()},
        {group: way for proof in proofs.values() for group, way in proof.ways.items()},
        tuple(f"{name}: {note}" for name, proof in proofs.items() for note in proof.notes),
        (way, *untried, *(f"{name}: {line}" for name, proof in proofs.items() for line in proof.untried)),
        sum(proof.probes for proof in proofs.values()),
        max(proof.worst for proof in proofs.values()),
        parts=names,
    )


def within(part: str, proof: Proof) -> Proof:
    """A proof of a part under the names that its tensors, modules and groups have in the whole network."""

    def whole(name: str) -> str:
        return f"{part}.{name}" if name else part

    proposal = proof.proposal
    groups = tuple(
        replace(group, name=whole(group.name), slices=tuple(replace(s, tensor=whole(s.tensor)) for s in group.slices))
        for group in proposal.groups
    )
    rules = tuple(replace(r, module=whole(r.module), group=whole(r.group)) for r in proposal.attributes)
    products = tuple(
        replace(
            product,
            module=whole(product.module),
            dimensions=tuple(
                replace(d, parts=tuple((whole(group), each) for group, each in d.parts)) for d in product.dimensions
            ),
        )
        for product in proposal.products
    )
    kept = {whole(place): why for place, why in proposal.kept.items()}
    return replace(
        proof,
        proposal=Proposal(groups, rules, kept, products),
        pinned={whole(group): why for group, why in proof.pinned.items()},
        ways={whole(group): way for group, way in proof.ways.items()},
    )
