"""Networks that cannot be traced as a whole: the largest parts of them that can, each proved by itself.

Detectors choose boxes by their values, and no graph can follow that, but their backbones are networks like any other. A
part is taken where a pass calls it once, in the same way each time, and where nobody else looks at its tensors. What
goes in and what comes out of it stays as it is, so that the rest of the network cannot tell.
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from prunetui.engine.layers import kind_of
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.example_calls import probe_calls
from prunetui.engine.tracing.export_graph import UntraceableError, unchanged
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.proposers import label_graph
from prunetui.engine.tracing.prove import Proof, prove
from prunetui.engine.tracing.recorded_calls import RecordedPass, is_used_by_itself, recorded_pass

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
        args, kwargs = self.inputs
        named = inspect.signature(self.module.forward).bind(*args, **kwargs).arguments if kwargs else {}
        return within(self.name, prove(self.module, self.proposal, probe_calls(self.module, named or tuple(args))))


def parts_graph(model: nn.Module, examples: Sequence[Example]) -> Proof:
    """What is proved of the parts of a network that torch.export can follow.

    Raises:
        UntraceableError: it can follow none with channels that could go.
    """
    with unchanged(model):
        parts = list(traced_parts(model, examples[0]))
    if not parts:
        raise UntraceableError("none of its parts that are called once, and used by nobody else, can be traced")
    return joined(model, {part.name: part.proof() for part in parts})


def traced_parts(model: nn.Module, example: Example) -> Iterator[TracedPart]:
    """The largest parts by their parameters that can be traced and have channels that may go, none within another."""
    seen = recorded_pass(model, example)
    twice = _of_two(model, example) or seen
    waiting, tried = _children(model, ""), 0
    while waiting and tried < MOST_TRIED:
        name = heapq.heappop(waiting)[1]
        part = None
        if _is_apart(model, name, seen, twice):
            part, tried = _traced(model, name, example, seen), tried + 1
        if part is None:
            waiting = list(heapq.merge(waiting, _children(model, name)))
        elif part.proposal.groups:
            yield part


def _of_two(model: nn.Module, example: Example) -> RecordedPass | None:
    """A pass of two examples; None where the network does not take them so."""
    try:
        return recorded_pass(model, tree_map(_doubled, example))
    except Exception:  # noqa: BLE001 - whatever the network's own code raises
        return None


def _doubled(value: Any) -> Any:
    return torch.cat([value, value]) if isinstance(value, Tensor) and value.dim() else value


def _children(model: nn.Module, name: str) -> list[tuple[int, str]]:
    """The parts of a part that may have channels within them, the largest first."""
    found = []
    for own, part in model.get_submodule(name).named_children():
        if sum(1 for module in part.modules() if (kind := kind_of(module)) and kind.prunable) >= FEWEST:
            size = sum(parameter.numel() for parameter in part.parameters())
            found.append((-size, f"{name}.{own}" if name else own))
    return sorted(found)


def _is_apart(model: nn.Module, name: str, seen: RecordedPass, twice: RecordedPass) -> bool:
    """Whether each pass calls a part once and in the same way, and modules and tensors in it nowhere else."""
    if len(seen.calls.get(name, ())) != 1 or seen.structure(name) != twice.structure(name):
        return False
    inside = {id(module) for module in model.get_submodule(name).modules()}
    names = {id(module): own for own, module in model.named_modules()}  # under which its calls were recorded
    calls = chain.from_iterable(seen.calls.get(names[one], ()) for one in inside if names[one] != name)
    tensors = {True: set[int](), False: set[int]()}
    for own, tensor in named_tensors(model).items():
        tensors[own.startswith(f"{name}.")].add(id(tensor))
    return all(name in call.within for call in calls) and tensors[True].isdisjoint(tensors[False])


def _traced(model: nn.Module, name: str, example: Example, seen: RecordedPass) -> TracedPart | None:
    """A part with what is proposed of it; None where it cannot be traced, or others use what is in it."""
    part, inputs = model.get_submodule(name), seen.calls[name][0].inputs
    if not is_used_by_itself(model, name, example, seen):
        return None
    try:
        proposal = label_graph(part, [inputs])
    except UntraceableError:
        return None
    following = {(rule.module, rule.attribute) for rule in proposal.attributes}
    apart = not following or is_used_by_itself(model, name, example, seen, following)
    return TracedPart(name, part, inputs, proposal) if apart else None


# Of parts, the whole ----------------------------------------------------------------------------------


def joined(model: nn.Module, proofs: Mapping[str, Proof]) -> Proof:
    """The proof of a network of those of its parts; all that lies outside of them stays."""
    names = tuple(proofs)
    reason = f"only {' and '.join(names)} {'is' if len(names) == 1 else 'are'} traced"
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
        tuple(f"{name}: {line}" for name, proof in proofs.items() for line in proof.untried),
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
