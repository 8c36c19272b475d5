"""The graph of coupled channels of a network: known of built-in ones, proposed and proved of all others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from prunetui.api import Group
from prunetui.api.source import arguments_of
from prunetui.engine.count import passed, used_layers
from prunetui.engine.graph import Graph
from prunetui.engine.layers import counted_names
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.attention_modules import other_attention
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.dependency_groups import dependency_groups
from prunetui.engine.tracing.example_calls import probe_calls
from prunetui.engine.tracing.network_parts import parts_graph
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.proposers import label_graph, torch_pruning_graph
from prunetui.engine.tracing.prove_network import prove_network

WHOLE = ""
"""The place of what is said of the whole network."""
CUT_SHORT = "this machine had too little time or memory to find all channels that may go: another one may find more"


def trace(architecture: Architecture, example: Any) -> Graph:
    """The graph of an architecture that computes ``example``, a batch of one: what goes into the network.

    That of a built-in network which does not ask for proofs is Torch-Pruning's: the tests go over all of them.
    """
    with torch.random.fork_rng(devices=[]):
        model = build(architecture)
    return proved_graph(model, example) if architecture.proved else trace_model(model, example)


def trace_model(model: nn.Module, example: Any) -> Graph:
    """The graph as Torch-Pruning tells it, not proved. The last layer that computes makes the outputs."""
    layers = used_layers(model, example)
    return Graph(*dependency_groups(model, example, layers), layers)


def proved_graph(model: nn.Module, example: Any, in_memory: bool = False) -> Graph:
    """The groups of any network that are right, and what stays, with the reason.

    ``example`` is what goes into the network, of one example. A network ``in_memory`` is not rebuilt from its state
    dict, so that channels may go of tensors that are not saved, too.
    """
    seen = passed(model, example)
    calls = probe_calls(model, example, seen.macs)
    proposers = (label_graph, torch_pruning_graph, parts_graph)
    proof = prove_network(model, [arguments_of(example)], proposers, probes=calls)
    groups, kept = _saved_groups(proof.proposal, model.state_dict() if not in_memory else named_tensors(model))
    moving = {(piece.tensor, piece.dimension) for group in groups for piece in group.slices}
    if not groups and not kept:
        kept = {WHOLE: "; ".join((*proof.notes, *proof.untried)) or "no channels were found that could go"}
    kept |= {f"{tensor}[0]": why for tensor, why in other_attention(model).items() if (tensor, 0) not in moving}
    free = {layer for group in groups for layer in group.producers}
    held = [name for name, layer in seen.layers.items() if layer.prunable and name not in free]
    every = dict(model.named_parameters(remove_duplicate=False))
    ways = {group.name: proof.ways[group.name] for group in groups if group.name in proof.ways}
    graph = Graph(
        groups,
        tuple(held[:-1]),  # the last makes the outputs
        seen.layers,
        attributes=proof.proposal.attributes,
        kept=kept,
        ways=ways,
        aliases=frozenset(every) - counted_names(model).keys(),
        fallback=next((note for note in proof.notes if note.startswith(label_graph.__name__)), ""),
        products=proof.proposal.products,
        cut_short=proof.cut_short,
        untried=tuple(dict.fromkeys(proof.untried)),
        parts=proof.parts,
    )
    return replace(graph, fixed_macs=seen.macs - graph.cost("macs", graph.dense))


def origin_of(graph: Graph) -> str:
    """One line on where the groups come from; empty where it is torch.export's graph of the whole network."""
    if not graph.fallback or not graph.groups:
        return ""
    if graph.parts:
        return f"only {', '.join(graph.parts)} can be traced, and the channels within are proved: {graph.fallback}"
    return f"channels as Torch-Pruning groups them, proved: {graph.fallback}"


def told_of(graph: Graph) -> list[str]:
    """What is to be said of a graph: where its groups come from, and what is not proved, or not counted exactly."""
    return [line for line in (origin_of(graph), *graph.untried, graph.uncertain) if line]


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
