"""Groups of whole networks are proved, and a network that loses what was proved computes what a silenced one does."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from prunetui.api.groups import Group, Slice
from prunetui.engine.models import Architecture, build
from prunetui.engine.trace_network import trace_model
from prunetui.engine.tracing.probe import halves
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.prove import Proof, prove
from prunetui.engine.tracing.shrink import shrink
from prunetui.engine.tracing.silence import silence

BUILT_IN = {
    "resnet18": (Architecture("resnet18", 3, 16, 10, width=4), 12),
    "resnet50": (Architecture("resnet50", 3, 16, 10, width=4), 37),
    "resnet20 A": (Architecture("resnet20", 3, 16, 10, "A", width=4), 9),
    "resnet20 B": (Architecture("resnet20", 3, 16, 10, "B", width=4), 12),
    "vgg16": (Architecture("vgg16", 3, 16, 10, width=4), 13),
}


def proof_of(model: nn.Module, groups: tuple[Group, ...], size: int) -> Proof:
    random = torch.Generator().manual_seed(0)
    images = [torch.randn(2, 3, size, width, generator=random) for width in (size, size * 5 // 4)]
    return prove(model, Proposal(groups), [((batch,), {}) for batch in images])


def smaller(model: nn.Module, proof: Proof) -> tuple[nn.Module, nn.Module]:
    """The network without about half its channels, and with these silenced; independent of how it was proved."""
    random = torch.Generator().manual_seed(1)
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=random)
            nn.init.normal_(module.bias, generator=random)
    narrow, silent = copy.deepcopy(model), copy.deepcopy(model)
    keep = halves(proof.proposal.groups, seed=9)
    shrink(narrow, proof.proposal, keep)
    silence(silent, proof.proposal.groups, keep)
    return narrow, silent


def assert_alike(narrow: nn.Module, silent: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        expected = silent(images)
        assert (narrow(images) - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("net", list(BUILT_IN))
def test_all_groups_of_a_built_in_network_are_proved_together(net: str) -> None:
    architecture, count = BUILT_IN[net]
    model = build(architecture)
    graph = trace_model(model, torch.zeros(1, 3, 16, 16))
    proof = proof_of(model, graph.groups, 32 if net == "vgg16" else 16)
    assert proof.pinned == {}
    assert proof.notes == ()
    assert len(proof.proposal.groups) == count
    assert proof.worst < 1e-9
    narrow, silent = smaller(model, proof)
    sizes = [sum(p.numel() for p in net.parameters()) for net in (narrow, silent)]
    assert sizes[0] < 0.7 * sizes[1]
    assert_alike(narrow, silent, torch.randn(2, 3, 32, 32))


def test_one_wrong_slice_among_many_right_ones_is_found_and_only_its_group_is_pinned() -> None:
    model = build(BUILT_IN["resnet20 B"][0])
    groups = list(trace_model(model, torch.zeros(1, 3, 16, 16)).groups)
    wrong = groups[7]
    last = wrong.slices[-1]
    turned = Slice(last.tensor, last.dimension, (*last.indices[1:], last.indices[0]), last.role)
    groups[7] = replace(wrong, slices=(*wrong.slices[:-1], turned))
    proof = proof_of(model, tuple(groups), 16)
    assert list(proof.pinned) == [wrong.name]
    assert "outputs differ" in proof.pinned[wrong.name]
    assert len(proof.proposal.groups) == len(groups) - 1
    assert proof.proposal.kept[f"{last.tensor}[{last.dimension}]"] == proof.pinned[wrong.name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("resnet50", 37), ("mobilenet_v2", 25), ("mobilenet_v3_small", 27)])
def test_all_groups_of_a_network_of_torchvision_are_proved(name: str, count: int) -> None:
    model = getattr(torchvision.models, name)()
    graph = trace_model(model, torch.zeros(1, 3, 64, 64))
    proof = proof_of(model, graph.groups, 64)
    assert (len(proof.proposal.groups), proof.pinned, proof.notes) == (count, {}, ())
    assert_alike(*smaller(model, proof), torch.randn(2, 3, 64, 64))
