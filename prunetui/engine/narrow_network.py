"""A network that lives in memory, made smaller by an edit of its state: the object that is handed back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.source import mapped
from prunetui.engine.compared_outputs import compared_outputs
from prunetui.engine.edits import EQUIVALENCE, zero_channels
from prunetui.engine.graph import Graph
from prunetui.engine.layers.shared_convolution import share_as
from prunetui.engine.models.in_memory import copied
from prunetui.engine.removal_record import Rewritten, note_removal, recorded
from prunetui.engine.state import State, instantiate
from prunetui.engine.tracing.cut_tensors import Keep, named_tensors
from prunetui.engine.tracing.output_tensors import difference
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.shrink import removal, shrink
from prunetui.errors import TrialError


def narrowed(network: nn.Module, after: State, graph: Graph, rewritten: Rewritten) -> nn.Module:
    """A copy of ``network`` that is what ``after`` says, down to hooks, frozen parameters and modes; it notes how.

    ``rewritten`` is what of it was made another before.
    """
    small = copied(network)
    rules = graph.attributes or ()
    keep = kept_channels(after, graph)
    change = removal(small, graph.groups, rules, keep)
    shrink(small, Proposal(graph.groups, rules), keep)
    share_as(small, after.tensors)
    with torch.no_grad():
        for name, tensor in named_tensors(small).items():
            if tensor.shape != after.tensors[name].shape:  # of a layer that shares filters
                tensor.data = torch.empty_like(after.tensors[name])
            tensor.copy_(after.tensors[name])
    attributes = {f"{module}.{own}" if module else own: value for (module, own), value in change.attributes.items()}
    note_removal(small, recorded(network, change.kept, attributes, rewritten, after.tensors))
    return small


def kept_channels(after: State, graph: Graph) -> dict[str, Tensor]:
    """Which of the dense network's channels are left of each group that lost some: bool [width]."""
    return {
        group.name: torch.zeros(group.width, dtype=torch.bool).index_fill(0, after.kept[group.name].cpu(), True)
        for group in graph.groups
        if group.name in after.kept
    }


COMPARED = ("without these channels", "where these channels are zero", "with all channels")


@dataclass(frozen=True)
class Compared:
    """How far outputs are apart at most, relative to the largest: of networks without channels, silenced, and whole."""

    removed: float
    """Without these channels, from where they are silenced."""
    silenced: float
    """Where they are silenced, from the dense network: 0 where nothing that comes out depends on them."""


def removed_against_silenced(small: nn.Module, keep: Keep, before: State, graph: Graph, inputs: Any) -> Compared:
    """The outputs of the smaller network beside those of the dense one with the same channels silenced.

    In float32 at least.

    Raises:
        TrialError: it exceeds ``EQUIVALENCE``, or a network raises: these channels cannot be removed from it.
    """
    device = next(small.parameters()).device
    silent, dense = (instantiate(state, device) for state in (zero_channels(keep, before, graph), before))
    networks = (copied(small).eval(), silent, dense)
    inputs = mapped(inputs, lambda tensor: tensor.to(device))
    if any(p.is_floating_point() and p.element_size() < 4 for p in networks[0].parameters()):
        networks, inputs = tuple(network.float() for network in networks), mapped(inputs, _widened)  # type: ignore[assignment]
    with torch.no_grad():
        narrow, silenced, whole = (
            _computed(which, network, inputs, graph.parts) for which, network in zip(COMPARED, networks, strict=True)
        )
    found = difference(narrow, silenced)
    if not found.relative <= EQUIVALENCE:
        far = found.words or f"outputs differ by {found.relative:.2g} of their size"
        raise TrialError(f"removing these channels changes what the network computes: {far}")
    return Compared(found.relative, difference(silenced, whole).relative)


def _computed(which: str, network: nn.Module, inputs: Any, parts: Sequence[str]) -> list[Tensor]:
    try:
        return compared_outputs(network, inputs, parts)
    except Exception as error:  # whatever the network's own code raises
        raise TrialError(
            f"the network cannot be computed {which}, so that they are not removed: {type(error).__name__}: {error}"
        ) from error


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
