"""Networks that are hard to trace: what may go of each is what it should be, goes, and comes back from a file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from prunetui.api.groups import Group
from prunetui.config import ModelTable
from prunetui.engine.edits import remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.layers import OTHER, Layer
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.start import architecture_of
from prunetui.engine.state import State, extra_bytes, from_files, instantiate, model_bytes
from prunetui.engine.tied_tensors import copied_values
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.export_graph import UntraceableError
from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.engine.tracing.probe import halves
from prunetui.engine.tracing.proposers import label_graph
from prunetui.engine.tracing.prove import Proof, prove
from prunetui.engine.tracing.shrink import shrink
from prunetui.engine.tracing.silence import silenced
from tests.engine.tracing import hostile_networks

OVER = "statistics over channels"
RAISES = "without some of these channels the network raises"
TABLE: dict[str, tuple[dict[str, int], dict[str, str]]] = {
    "split_by_sizes": ({"a": 2, "a#2": 4}, {}),
    "split_by_numbers": ({}, {"a.weight[0]": RAISES}),
    "chunks": ({"a": 4}, {}),
    "channel_shuffle": ({"a": 2, "b": 4}, {}),
    "pixel_shuffle": ({"a": 3}, {}),
    "functional_convolution": ({"weight": 5}, {}),
    "hard_coded_view": ({}, {"a.weight[0]": RAISES}),
    "channel_buffer": ({"a": 4}, {}),
    "channel_buffer_not_saved": ({"a": 4}, {}),
    "many_outputs": ({"b": 5}, {"a.weight[0]": "its channels are part of the output"}),
    "two_inputs": ({"a": 4}, {}),
    "lstm": ({"a": 5, "rnn": 4}, {}),
    "gru_both_ways": ({"a": 5, "rnn": 4}, {}),
    "checkpointed": ({"a": 4}, {}),
    "einsum_attention": ({"a": 8, "q": 3}, {}),
    "group_norm": ({"a": 4}, {}),
    "group_norm_without_scales": ({"a": 4}, {}),
    "group_norm_of_all": ({}, {"a.weight[0]": OVER}),
    "layer_norm": ({"up": 6}, {"a.weight[0]": OVER, "down.weight[0]": OVER}),
    "twice": ({"a": 4}, {}),
    "autoencoder": ({"encode": 6}, {}),
    "image_transformer": (
        {"layer.self_attn": 2, "layer.linear1": 6, "pool": 4, "pool.out_proj": 8},
        {"a.weight[0]": OVER},
    ),
}
"""Kind -> the width of each group that may go, and why what stays does so."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def architecture(kind: str) -> Architecture:
    return architecture_of(ModelTable(name=f"{hostile_networks.__file__}:make", options={"kind": kind}), 3, 4, 2)


def inputs(kind: str) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    x = torch.randn(2, 3, 4, 4)
    return ((x, torch.randn(2, 2)), {"scale": 0.5}) if kind == "two_inputs" else ((x,), {})


def graph_of(model: nn.Module, proof: Proof) -> Graph:
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for full, tensor in model.named_parameters(remove_duplicate=False):
        name, _, own = full.rpartition(".")
        shapes.setdefault(name, {})[own] = tuple(tensor.shape)
    layers = {name: Layer(OTHER, own, 0) for name, own in shapes.items()}
    return Graph(proof.proposal.groups, (), layers, attributes=proof.proposal.attributes)


def zeroed(model: nn.Module, groups: tuple[Group, ...], keep: Mapping[str, Tensor], proof: Proof) -> nn.Module:
    """A copy of the network in which these channels are silent."""
    silent = copy.deepcopy(model)
    tensors = named_tensors(silent)
    for name, values in silenced(groups, keep, tensors, proof.ways).items():
        tensors[name].data.copy_(values)
    return silent


@pytest.mark.parametrize("kind", TABLE)
def test_what_may_go_goes_and_comes_back(kind: str) -> None:
    widths, reasons = TABLE[kind]
    model, (args, named) = build(architecture(kind)), inputs(kind)
    proof = prove(model, label_graph(model, [(args, named)]), [(args, named)])
    groups = proof.proposal.groups
    assert {group.name: group.width for group in groups} == widths, (proof.pinned, proof.notes)
    for place, words in reasons.items():
        assert words in proof.proposal.kept[place]
    if not widths:
        return
    keep = halves(groups, seed=3)
    narrow = copy.deepcopy(model).double().eval()
    silent = zeroed(narrow, groups, keep, proof)
    shrink(narrow, proof.proposal, keep)
    assert sum(p.numel() for p in narrow.parameters()) < sum(p.numel() for p in model.parameters())
    wide = [value.double() if isinstance(value, Tensor) else value for value in args]
    made, wanted = (output_tensors(net(*wide, **named)) for net in (narrow, silent))
    for ours, theirs in zip(made, wanted, strict=True):
        assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max()
    sum(output.sum() for output in made).backward()
    if kind != "channel_buffer_not_saved":
        check_file(model, proof, keep, narrow, (args, named), kind)


def check_file(
    model: nn.Module, proof: Proof, keep: Mapping[str, Tensor], narrow: nn.Module, call: Any, kind: str
) -> None:
    """What is removed by the engine is what was removed from the live network, and is the same from its file."""
    built = architecture(kind)
    state = remove_channels(keep, State(built, copied_values(model)), graph_of(model, proof))
    extra = extra_bytes(state)
    again = from_files(load(model_bytes(state)), load(extra) if extra else {}, built)
    args, named = call
    first, second = (instantiate(one, torch.device("cpu")) for one in (state, again))
    with torch.no_grad():
        made, same, live = (output_tensors(net(*args, **named)) for net in (first, second, narrow.float().eval()))
    assert all(map(torch.equal, made, same))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(made, live, strict=True))


def test_a_branch_on_data_is_refused_in_words() -> None:
    with pytest.raises(UntraceableError, match="what it computes depends on values of its data"):
        label_graph(build(architecture("branches")), [inputs("branches")])


def test_every_network_is_in_the_table() -> None:
    assert {*TABLE, "branches"} == set(hostile_networks.FACTORIES)
    assert Path(hostile_networks.__file__).is_file()
