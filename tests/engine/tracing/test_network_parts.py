"""Networks that choose by their values: what of them is traced, and what keeps a part from being so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunetui
from prunetui.engine.compared_outputs import compared_outputs
from prunetui.engine.models.in_memory import in_memory
from prunetui.engine.narrow_network import removed_against_silenced
from prunetui.engine.state import State
from prunetui.engine.trace_network import origin_of, proved_graph
from prunetui.engine.tracing import network_parts, prove_network
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.export_graph import UntraceableError
from prunetui.engine.tracing.network_parts import parts_graph
from prunetui.engine.tracing.plain_proof import plain_proof, proof_from
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.proposers import label_graph
from prunetui.engine.tracing.recorded_calls import recorded_pass
from prunetui.errors import TrialError
from tests.engine.tracing.small_networks import written

IMAGES = torch.linspace(-1, 1, 36).view(1, 1, 6, 6)


def two_convolutions(inputs: int = 1, width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2, 1))


class Chooses(nn.Module):
    """Gives the places of its map that are above the mean, as a detector does: their number no graph can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = two_convolutions(), nn.Conv2d(2, 3, 1)

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.head(self.maps(x))
        limit = float(maps.mean())
        chosen = [one[one > limit] if limit < 1e9 else one for one in maps]
        return {"values": torch.cat(chosen), "labels": (maps > limit).nonzero()}


class Twice(Chooses):
    """Calls its body two times."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) + self.body(-x)
        return found


class LooksInside(Chooses):
    """Computes with a weight of its body by itself."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) + F.conv2d(x, self.body[0].weight, padding=1).mean()
        return found


class CallsInside(Chooses):
    """Calls a layer of its body by itself."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) + self.body[0](x).mean()
        return found


class Counts(Chooses):
    """Looks only at how wide its body is."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) * len(self.body[0].weight)
        return found


class Asks(Chooses):
    """Looks at what a layer of its body notes of its width."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) * self.body[0].out_channels
        return found


class Kept(nn.Sequential):
    """A part that keeps what its first layer made."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self[0](x)
        found: Tensor = self[2](self[1](self.kept))
        return found


class Stores(Chooses):
    """Looks at what its body keeps beside its output."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Kept(*self.body)

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) * self.body.kept.amax()
        return found


class Measures(Stores):
    """Looks at the width of what its body keeps."""

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) * self.body.kept.shape[1]
        return found


class Hooked(Chooses):
    """Looks at what a hook stores of a layer of its body."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, Tensor] = {}
        self.body[0].register_forward_hook(lambda module, args, output: self.stored.update(first=output))

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) * self.stored["first"].amax()
        return found


class TrainsInside(Chooses):
    """In training, a second head reads the middle of its body."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(4, 2, 1)

    def maps(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().maps(x)
        middle = self.body[0](x)
        found: Tensor = self.body[2](middle.relu()) + self.other(middle)
        return found


class TrainsWithItsWeight(Chooses):
    """In training, a weight of its body is added to what comes out."""

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x) + (self.body[0].weight.norm() if self.training else 0)


class Ties(Chooses):
    """Another layer of it has a tensor of its body."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(1, 4, 3, padding=1)
        self.other.weight = self.body[0].weight

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) + self.other(x).mean()
        return found


class Nested(nn.Module):
    """The part that chooses lies within another, with a second one beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.wide = Chooses(), two_convolutions(width=6)

    def forward(self, x: Tensor) -> Any:
        return self.inner(x), self.wide(x)


def test_the_part_that_can_be_traced_is_proved_and_all_else_stays() -> None:
    proof = parts_graph(Chooses(), [((IMAGES,), {})])
    assert proof.parts == ("body",)
    assert written(proof.proposal) == {
        "body.0": {"body.0.weight[0]": "0 1 2 3", "body.0.bias[0]": "0 1 2 3", "body.2.weight[1]": "0 1 2 3"}
    }
    assert proof.probes > 0
    assert proof.proposal.kept["body.2.weight[0]"] == "its channels are part of the output"
    assert proof.proposal.kept["head.weight[0]"] == "only body is traced"
    assert {product.module for product in proof.proposal.products} <= {"body.0", "body.2"}
    assert proof_from(plain_proof(proof)) == proof


REJECTED = [
    Twice, LooksInside, CallsInside, Counts, Asks, Ties, Stores, Measures, Hooked, TrainsInside, TrainsWithItsWeight,
]  # fmt: skip


@pytest.mark.parametrize("network", REJECTED)
def test_a_part_that_is_used_twice_or_by_others_is_not_taken(network: type[nn.Module]) -> None:
    with pytest.raises(UntraceableError, match="called once, and used by nobody else"):
        parts_graph(network(), [((IMAGES,), {})])


class Normed(Chooses):
    """Training changes statistics in its body, and draws random numbers there and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 1))
        self.head = nn.Sequential(nn.Dropout(), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


class Keeps(Chooses):
    """Nobody looks at what its body keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Kept(*self.body)


@pytest.mark.parametrize("network", [Normed, Keeps])
def test_a_part_that_training_changes_or_that_stores_what_nobody_reads_is_taken(network: type[nn.Module]) -> None:
    proof = parts_graph(network(), [((IMAGES,), {})])
    assert [(group.name, group.width) for group in proof.proposal.groups] == [("body.0", 4)]


class NeedsTargets(Chooses):
    def forward(self, x: Tensor, targets: Tensor | None = None) -> dict[str, Tensor]:
        if self.training and targets is None:
            raise ValueError("no targets")
        return super().forward(x)


class TakesOne(Chooses):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if len(x) > 1:
            raise ValueError("one at a time")
        return super().forward(x)


WAY = "body is proved for inputs that take the way of this example through the network, and for no others"
TRAINING = "nothing is known of what the network does with its parts in training: ValueError: no targets"
ALIKE = "whether two examples call the parts in the same way is not known: ValueError: one at a time"


@pytest.mark.parametrize(
    ("network", "untried"), [(Chooses, [WAY]), (NeedsTargets, [WAY, TRAINING]), (TakesOne, [WAY, ALIKE])]
)
def test_what_could_not_be_tried_is_said(network: type[nn.Module], untried: list[str]) -> None:
    assert list(parts_graph(network(), [((IMAGES,), {})]).untried) == untried


def test_of_a_part_that_chooses_its_own_parts_are_taken() -> None:
    proof = parts_graph(Nested(), [((IMAGES,), {})])
    assert set(proof.parts) == {"inner.body", "wide"}
    assert {group.name: group.width for group in proof.proposal.groups} == {"inner.body.0": 4, "wide.0": 6}
    assert proof.proposal.kept["inner.head.weight[0]"] == "only wide and inner.body are traced"


def test_a_part_that_cannot_be_labelled_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def labelled(part: nn.Module, examples: Sequence[Example]) -> Proposal:
        if len(part[0].weight) == 6:
            raise KeyError("unheard of")
        return label_graph(part, examples)

    monkeypatch.setattr(network_parts, "label_graph", labelled)
    proof = parts_graph(Nested(), [((IMAGES,), {})])
    assert proof.parts == ("inner.body",)
    assert "wide is not traced: KeyError: 'unheard of'" in proof.untried


class Variadic(nn.Module):
    """A part that takes any arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, *maps: Tensor, **named: Tensor) -> Tensor:
        found: Tensor = self.b(self.a(maps[0] + maps[1]).relu()) * named["scale"]
        return found


class CallsVariadic(Chooses):
    def __init__(self) -> None:
        super().__init__()
        self.body = Variadic()  # type: ignore[assignment]

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x, x, scale=torch.tensor(2.0))
        return found


def test_a_part_is_proved_with_all_arguments_of_its_call() -> None:
    proof = parts_graph(CallsVariadic(), [((IMAGES,), {})])
    assert [group.name for group in proof.proposal.groups] == ["body.a"]


def test_a_proof_of_parts_is_not_kept_for_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(prove_network, "keep_proof", lambda digest, proof: kept.append(digest))
    example = [((IMAGES,), {})]
    assert prove_network.prove_network(Chooses(), example, [parts_graph]).parts == ("body",)
    assert not kept
    assert prove_network.prove_network(two_convolutions(), example, [label_graph]).proposal.groups
    assert len(kept) == 1


def test_tensors_are_copied_of_parts_with_channels_within_only() -> None:
    network = Chooses()
    seen = recorded_pass(network, ((IMAGES,), {}), ["body"])
    assert torch.equal(seen.calls["body"][0].output, network.body(IMAGES))
    assert [(call.inputs, call.output) for call in seen.calls["body.0"]] == [(((), {}), None)]
    search = network_parts.PartSearch(network, ((IMAGES,), {}))
    assert search._evaluated.calls["head"][0].output is None
    assert search._twice is not None
    assert search._twice.calls["body"][0].output is None


def test_the_network_is_left_as_it_was() -> None:
    network = Chooses().train()
    network.body.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors = list(network.parameters())
    parts_graph(network, [((IMAGES,), {})])
    assert (network.training, network.head.training, network.body.training) == (True, True, False)
    assert [id(tensor) for tensor in network.parameters()] == [id(tensor) for tensor in tensors]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert "forward" not in vars(network.body)
    assert not network.body._forward_hooks
    assert not network.body._forward_pre_hooks


def test_the_graph_says_that_parts_were_traced() -> None:
    graph = proved_graph(Chooses(), IMAGES)
    assert (graph.parts, [group.name for group in graph.groups]) == (("body",), ["body.0"])
    assert origin_of(graph).startswith(
        "only body can be traced, and the channels within are proved: label_graph raised"
    )
    assert graph.kept["head.weight[0]"] == "only body is traced"
    assert graph.cost("macs", graph.dense) == 36 * (9 * 4 + 4 * 2 + 2 * 3)
    assert graph.cost("macs", {"body.0": 3}) == 36 * (9 * 3 + 3 * 2 + 2 * 3)


def test_channels_of_a_part_are_removed_with_the_proof() -> None:
    torch.manual_seed(0)
    network = Chooses().eval()
    small, report = prunetui.prune(
        network, example_inputs=IMAGES, method="l1-structured", target="channels", amount=0.5, ends="prune"
    )
    assert (small.body[0].out_channels, small.body[2].in_channels, small.head.in_channels) == (2, 2, 2)
    assert report.difference is not None
    assert report.difference < 1e-6
    assert any("only body can be traced" in note for note in report.notes)


def test_a_network_that_raises_without_its_channels_is_refused_in_words() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(144, 2))
    graph = proved_graph(network, IMAGES)
    state = State(in_memory(network), named_tensors(network))
    small = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(TrialError, match=r"cannot be computed without these channels.*RuntimeError: mat1 and mat2"):
        removed_against_silenced(small, {}, state, graph, IMAGES)


def test_what_is_compared_are_the_outputs_of_the_parts() -> None:
    network = Chooses().eval()
    with torch.no_grad():
        (found,) = compared_outputs(network, IMAGES, ("body",))
        assert torch.equal(found, network.body(IMAGES))
        assert [tensor.dtype for tensor in compared_outputs(network, IMAGES, ())] == [torch.float32, torch.int64]


@pytest.mark.slow  # 20 s
def test_the_backbone_of_a_detector_of_torchvision_is_proved() -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    images = torch.rand(1, 3, 320, 320)
    small, report = prunetui.prune(network, example_inputs=images, method="l1-structured", target="macs", amount=0.2)
    assert any("only backbone can be traced" in note for note in report.notes)
    assert report.difference is not None
    assert report.difference < 1e-4
    assert sum(p.numel() for p in small.parameters()) < 0.9 * sum(p.numel() for p in network.parameters())
    targets = [{"boxes": torch.tensor([[1.0, 2.0, 50.0, 60.0]]), "labels": torch.tensor([2])}]
    losses = small.train()(list(images) * 2, targets * 2)
    assert all(bool(loss.isfinite()) for loss in losses.values())
