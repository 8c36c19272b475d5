"""The graph of coupled channels of a network: known of built-in ones, proposed and proved of all others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import Group
from prunetui.api.source import arguments_of, mapped
from prunetui.engine.count import used_layers
from prunetui.engine.graph import Graph
from prunetui.engine.layers import counted_names
from prunetui.engine.models import Architecture, build
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.dependency_groups import dependency_groups
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.proposers import label_graph, torch_pruning_graph
from prunetui.engine.tracing.prove_network import prove_network

PROBE_SIZE = 64
"""Images of this side are enough to prove a network that takes them."""
WHOLE = ""
"""The place of what is said of the whole network."""
WIDER = 16
"""Pixels by which the second example is wider, where the network takes that."""


def trace(architecture: Architecture, example: Any) -> Graph:
    """The graph of an architecture that computes ``example``, a batch of one of its inputs.

    That of a built-in network which does not ask for proofs is Torch-Pruning's: the tests go over all of them.
    """
    with torch.random.fork_rng(devices=[]):
        model = build(architecture)
    return proved_graph(model, example) if architecture.proved else trace_model(model, example)


def trace_model(model: nn.Module, example: Any) -> Graph:
    """The graph as Torch-Pruning tells it, not proved. The last layer that computes makes the outputs."""
    layers = used_layers(model, example)
    return Graph(*dependency_groups(model, example, layers), layers)


def proved_graph(model: nn.Module, example: Any, probes: Sequence[Example] = (), in_memory: bool = False) -> Graph:
    """The groups of any network that are right, and what stays, with the reason.

    ``example`` is what goes into the network, of one example; ``probes`` are the calls that it is proved with, which of
    a network of images may be left out. A network ``in_memory`` is not rebuilt from its state dict, so that channels
    may go of tensors that are not saved, too.
    """
    layers = used_layers(model, example)
    proof = prove_network(model, probes or probe_examples(model, example), (label_graph, torch_pruning_graph))
    groups, kept = _saved_groups(proof.proposal, model.state_dict() if not in_memory else named_tensors(model))
    if not groups and not kept:
        kept = {WHOLE: "; ".join(proof.notes) or "no channels were found that could go"}
    free = {layer for group in groups for layer in group.producers}
    held = [name for name, layer in layers.items() if layer.prunable and name not in free]
    every = dict(model.named_parameters(remove_duplicate=False))
    ways = {group.name: proof.ways[group.name] for group in groups if group.name in proof.ways}
    return Graph(
        groups,
        tuple(held[:-1]),  # the last makes the outputs
        layers,
        attributes=proof.proposal.attributes,
        kept=kept,
        ways=ways,
        aliases=frozenset(every) - counted_names(model).keys(),
        fallback=next((note for note in proof.notes if note.startswith(label_graph.__name__)), ""),
    )


def _saved_groups(proposal: Proposal, saved: Collection[str]) -> tuple[tuple[Group, ...], dict[str, str]]:
    """The groups that lie in saved tensors only, for the others would not be rebuilt, and why all else stays."""
    groups, kept = [], dict(proposal.kept)
    for group in proposal.groups:
        lost = [piece.tensor for piece in group.slices if piece.tensor not in saved]
        for piece in group.slices if lost else ():
            kept[f"{piece.tensor}[{piece.dimension}]"] = f"its channels lie in {lost[0]}, too, which is not saved"
        if not lost:
            groups.append(group)
    return tuple(groups), kept


def probe_examples(model: nn.Module, example: Any) -> list[Example]:
    """Two calls with two random examples each; images are as small as the network takes, the second's wider."""
    if not (isinstance(example, Tensor) and example.dim() == 4 and example.is_floating_point()):
        return [_two_of(example, seed) for seed in (0, 1)]
    _, channels, height, width = example.shape
    generator = torch.Generator().manual_seed(0)

    def images(high: int, wide: int) -> Tensor:
        return torch.randn(2, channels, high, wide, generator=generator)

    if min(height, width) > PROBE_SIZE and _is_computed(model, images(PROBE_SIZE, PROBE_SIZE)):
        height = width = PROBE_SIZE
    return [((images(height, width),), {}), ((images(height, width + WIDER),), {})]


def _two_of(example: Any, seed: int) -> Example:
    """Random numbers of the same shapes. What is no fraction, as words are, is real; the second's lies elsewhere."""
    generator = torch.Generator().manual_seed(seed)

    def made(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            return torch.randn(2, *tensor.shape[1:], generator=generator).to(tensor.dtype)
        twice = torch.cat([tensor, tensor.roll(1, -1)])
        return twice.roll(seed, -1) if tensor.dim() > 1 else twice

    return arguments_of(mapped(example, made))


def _is_computed(model: nn.Module, images: Tensor) -> bool:
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(images)
    except Exception:  # noqa: BLE001 - whatever the network's own code raises: images of that size are not for it
        return False
    finally:
        model.train(was_training)
    return True
