"""Right groups are proved on tiny nets, and groups that are wrong in any way are pinned, each with its reason."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api.groups import Group, Indices, Role, Slice, one_each
from prunetui.engine.tracing.proposal import AttributeRule, Proposal
from prunetui.engine.tracing.prove import VACUOUS, Proof, prove


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def group(name: str, width: int, *places: str) -> Group:
    """A group of which channel i lies at index i of each place, ``tensor[dimension] role``."""
    return grouped(name, [(place, one_each(width)) for place in places])


def grouped(name: str, places: Sequence[tuple[str, Indices]]) -> Group:
    pieces = []
    for place, indices in places:
        where, role = place.split()
        tensor, dimension = where[:-1].split("[")
        known: dict[str, Role] = {"makes": "makes", "scales": "scales", "reads": "reads"}
        pieces.append(Slice(tensor, int(dimension), indices, known[role]))
    return Group(name, tuple(pieces))


def norm(name: str) -> list[str]:
    return [f"{name}.{own}[0] scales" for own in ("weight", "bias", "running_mean", "running_var")]


def images(*sides: int, channels: int = 3, batch: int = 2) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [((torch.randn(batch, channels, side, side),), {}) for side in sides]


def proof_of(model: nn.Module, *groups: Group, rules: Sequence[AttributeRule] = (), examples: Any = None) -> Proof:
    return prove(model, Proposal(groups, tuple(rules)), examples or images(6, 8))


def convolutions() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3))


RIGHT = ["0.weight[0] makes", "0.bias[0] makes", *norm("1"), "3.weight[1] reads"]
CYCLIC = tuple(((i + 1) % 6,) for i in range(6))
SWAPPED = ((0,), (1,), (2,), (4,), (3,), (5,))


def test_a_right_group_is_proved() -> None:
    proof = proof_of(convolutions(), group("0", 6, *RIGHT))
    assert [g.name for g in proof.proposal.groups] == ["0"]
    assert proof.pinned == {}
    assert proof.ways == {}
    assert proof.probes >= 4  # two modes, two examples
    assert proof.worst < 1e-12


@pytest.mark.parametrize("indices", [CYCLIC, SWAPPED], ids=["off by one", "two swapped"])
@pytest.mark.parametrize("place", ["3.weight[1] reads", "0.weight[0] makes", "1.bias[0] scales"])
def test_channels_that_are_mistaken_for_others_are_found(place: str, indices: Indices) -> None:
    wrong = grouped("0", [(p, indices if p == place else one_each(6)) for p in RIGHT])
    proof = proof_of(convolutions(), wrong)
    assert proof.proposal.groups == ()
    assert "not what silencing them is: outputs differ by" in proof.pinned["0"]
    assert proof.proposal.kept[place.split()[0]] == proof.pinned["0"]


@pytest.mark.parametrize("missing", RIGHT)
def test_a_tensor_that_is_left_out_is_found(missing: str) -> None:
    proof = proof_of(convolutions(), group("0", 6, *(place for place in RIGHT if place != missing)))
    assert proof.proposal.groups == ()
    assert "the network raises in evaluation mode: RuntimeError:" in proof.pinned["0"]


def test_the_outputs_cannot_go() -> None:
    proof = proof_of(convolutions(), group("3", 4, "3.weight[0] makes", "3.bias[0] makes"))
    assert proof.pinned["3"].startswith("without some of these channels an output changes its shape from [2, 4, 4, 4]")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["5.weight[0] makes"], "the network has no parameter or buffer called 5.weight"),
        (["0.bias[1] makes"], "0.bias has 1 dimensions; there is no dimension 1"),
        (["3.weight[0] makes"], "3.weight has 4 indices on dimension 0, and the group others"),
    ],
)
def test_what_is_not_there_is_said(wrong: list[str], reason: str) -> None:
    assert proof_of(convolutions(), group("0", 6, *RIGHT, *wrong)).pinned["0"] == reason


def test_an_index_belongs_to_one_channel_of_one_group() -> None:
    twice = grouped("0", [("0.weight[0] makes", ((0,), (1,), (1,)))])
    assert proof_of(convolutions(), twice).pinned["0"] == "index 1 of 0.weight, dimension 0, is channel 1 of 0 too"
    proof = proof_of(convolutions(), group("0", 6, *RIGHT), group("again", 6, *RIGHT))
    assert [g.name for g in proof.proposal.groups] == ["0"]
    assert proof.pinned["again"] == "index 0 of 0.weight, dimension 0, is channel 0 of 0 too"


class Residual(nn.Module):
    """Two branches that are added; the second comes in through a scale that is as good as zero."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(3, 6, 1)
        self.gamma = nn.Parameter(torch.full((6, 1, 1), scale))
        self.read = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.read(self.a(x) + self.gamma * self.b(x))
        return read


STREAM = ["a.weight[0] makes", "a.bias[0] makes", "b.weight[0] makes", "b.bias[0] makes", "gamma[0] scales"]


def test_a_residual_stream_is_proved() -> None:
    assert proof_of(Residual(1e-6), group("a", 6, *STREAM, "read.weight[1] reads")).pinned == {}


def test_a_mistake_behind_a_scale_of_zero_does_not_hide() -> None:
    mistaken = [(p, CYCLIC if p.startswith("b.") else one_each(6)) for p in [*STREAM, "read.weight[1] reads"]]
    for scale in (0.0, 1e-6):
        assert "outputs differ" in proof_of(Residual(scale), grouped("a", mistaken)).pinned["a"]


class DeadBranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(x) + 0 * self.b(self.a(x)).sum()
        return out


def test_a_proof_that_proves_nothing_is_none() -> None:
    hidden = group("a", 4, "a.weight[0] makes", "a.bias[0] makes", "b.weight[1] reads")
    assert proof_of(DeadBranch(), hidden, examples=[((torch.randn(4, 3),), {})]).pinned["a"] == VACUOUS


class OnlyInTraining(nn.Module):
    """A second head that is there in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.main, self.aux = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = F.dropout(self.a(x).relu(), 0.5, self.training)
        return {"out": self.main(hidden), **({"aux": self.aux(hidden)} if self.training else {})}


def test_what_is_computed_in_training_only_counts() -> None:
    pieces = ["a.weight[0] makes", "a.bias[0] makes", "main.weight[1] reads"]
    examples = [((torch.randn(4, 3),), {})]
    half = proof_of(OnlyInTraining(), group("a", 4, *pieces), examples=examples)
    assert "the network raises in training mode" in half.pinned["a"]
    whole = proof_of(OnlyInTraining(), group("a", 4, *pieces, "aux.weight[1] reads"), examples=examples)
    assert whole.pinned == {}


class OtherAtOtherSizes(nn.Module):
    """Another layer reads the channels of larger images."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.small, self.large = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = (self.large if x.shape[-1] > 7 else self.small)(self.a(x))
        return read


def test_two_sizes_see_more_than_one() -> None:
    pieces = group("a", 4, "a.weight[0] makes", "a.bias[0] makes", "small.weight[1] reads")
    assert proof_of(OtherAtOtherSizes(), pieces, examples=images(6)).pinned == {}
    assert "the network raises" in proof_of(OtherAtOtherSizes(), pieces, examples=images(6, 8)).pinned["a"]


class Halved(nn.Module):
    """The outputs of two layers side by side, cut in the middle: right only while both are of one width."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.other = nn.Linear(3, 6), nn.Linear(3, 6), nn.Linear(3, 5)
        self.first, self.last = nn.Linear(6, 2), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.chunk(torch.cat([self.a(x), self.b(x)], -1), 2, -1)
        out: Tensor = self.first(left) * self.first(right).sigmoid() + self.last(self.other(x).relu())
        return out


def test_what_is_right_by_symmetry_only_is_found_and_what_is_right_stays() -> None:
    coupled = group(
        "a", 6, "a.weight[0] makes", "a.bias[0] makes", "first.weight[1] reads", "b.weight[0] makes", "b.bias[0] makes"
    )
    alone = group("other", 5, "other.weight[0] makes", "other.bias[0] makes", "last.weight[1] reads")
    examples = [((torch.randn(4, 3),), {})]
    proof = proof_of(Halved(), coupled, alone, examples=examples)
    assert proof.pinned == {}
    apart = [group(n, 6, f"{n}.weight[0] makes", f"{n}.bias[0] makes") for n in ("a", "b")]
    proof = proof_of(Halved(), *apart, alone, examples=examples)
    assert sorted(proof.pinned) == ["a", "b"]
    assert [g.name for g in proof.proposal.groups] == ["other"]


class EvenTogether(nn.Module):
    """Each layer may lose channels as long as the other does not."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 8)
        self.read_a, self.read_b = nn.Linear(4, 2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.a.weight) < 4 and len(self.b.weight) < 8:
            raise ValueError("one of them must be whole")
        out: Tensor = self.read_a(self.a(x)) + self.read_b(self.b(x))
        return out


def test_what_is_right_alone_and_wrong_together_loses_the_smaller_part() -> None:
    groups = [
        group(n, w, f"{n}.weight[0] makes", f"{n}.bias[0] makes", f"read_{n}.weight[1] reads")
        for n, w in (("a", 4), ("b", 8))
    ]
    proof = proof_of(EvenTogether(), *groups, examples=[((torch.randn(4, 3),), {})])
    assert [g.name for g in proof.proposal.groups] == ["b"]
    assert proof.pinned["a"].startswith("together with b: without some of these channels the network raises")
    assert "one of them must be whole" in proof.pinned["a"]


def test_statistics_over_channels_are_not_those_of_fewer() -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    normed = group(
        "0", 6, "0.weight[0] makes", "0.bias[0] makes", "1.weight[0] scales", "1.bias[0] scales", "2.weight[1] reads"
    )
    assert "outputs differ" in proof_of(model, normed, examples=[((torch.randn(4, 3),), {})]).pinned["0"]


@pytest.mark.parametrize(("activation", "ways"), [(nn.Tanh(), {}), (nn.Sigmoid(), {"0": "reads"})])
def test_a_channel_of_zeros_may_be_a_half_to_its_readers(activation: nn.Module, ways: dict[str, str]) -> None:
    model = nn.Sequential(nn.Linear(3, 6), activation, nn.Linear(6, 2))
    hidden = group("0", 6, "0.weight[0] makes", "0.bias[0] makes", "2.weight[1] reads")
    proof = proof_of(model, hidden, examples=[((torch.randn(4, 3),), {})])
    assert proof.pinned == {}
    assert proof.ways == ways


class Attention(nn.Module):
    """Two heads of three; the sizes are attributes, one of which only happens to be as large."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.width, self.layers = 4, 12, 4
        self.qkv, self.out = nn.Linear(8, 36), nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        assert self.layers == 4
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5 if self.training else 0.0)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(b, n, self.width))
        return out


def heads() -> Group:
    rows = [tuple(tuple(12 * part + 3 * head + i for i in range(3)) for head in range(4)) for part in range(3)]
    parts: list[tuple[str, Indices]] = [(f"qkv.{own}[0] makes", of) for of in rows for own in ("weight", "bias")]
    return grouped("qkv", [*parts, ("out.weight[1] reads", one_each(4, 3))])


CANDIDATES = [
    AttributeRule("", "layers", "qkv", 1), AttributeRule("", "heads", "qkv", 1), AttributeRule("", "width", "qkv", 3),
]  # fmt: skip


def test_the_attributes_that_follow_are_chosen_by_proof() -> None:
    example = [((torch.randn(2, 5, 8),), {})]
    proof = proof_of(Attention(), heads(), rules=CANDIDATES, examples=example)
    assert proof.pinned == {}
    assert [rule.attribute for rule in proof.proposal.attributes] == ["heads", "width"]


def test_without_the_attributes_that_follow_nothing_goes() -> None:
    example = [((torch.randn(2, 5, 8),), {})]
    wrong = [
        AttributeRule("", "heads", "qkv", 1),
        AttributeRule("", "width", "qkv", 2),
        AttributeRule("", "depth", "qkv", 1),
    ]
    proof = proof_of(Attention(), heads(), rules=wrong, examples=example)
    assert proof.proposal.groups == ()
    assert proof.proposal.attributes == ()
    assert proof.notes == (".width is 12, not 2 x 4 + 0", "there is no .depth")


def test_a_rule_that_no_forward_needs_is_left_out() -> None:
    model = convolutions()
    model.limit = 6
    proof = proof_of(model, group("0", 6, *RIGHT), rules=[AttributeRule("", "limit", "0", 1)])
    assert proof.pinned == {}
    assert proof.proposal.attributes == ()


@dataclasses.dataclass
class Answer:
    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


class Structured(nn.Module):
    """Gives an object, which may hold what is between its layers."""

    def __init__(self, tells: bool) -> None:
        super().__init__()
        self.tells = tells
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor, scale: Tensor) -> Answer:
        hidden = self.a(x).relu()
        return Answer(self.b(hidden) * scale, (hidden,) if self.tells else ())


@pytest.mark.parametrize("tells", [False, True])
def test_outputs_are_found_in_objects(tells: bool) -> None:
    hidden = group("a", 4, "a.weight[0] makes", "a.bias[0] makes", "b.weight[1] reads")
    proof = proof_of(Structured(tells), hidden, examples=[((torch.randn(4, 3),), {"scale": torch.ones(2)})])
    assert (proof.pinned.get("a", "").startswith("without some of these channels an output changes its shape")) == tells
    assert bool(proof.pinned) == tells


class Tied(nn.Module):
    """A table of words whose columns a head reads, which is the same table."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(7, 6), nn.Linear(6, 7, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.words(x))
        return logits


def test_a_tied_tensor_must_lose_the_same_under_every_name() -> None:
    words = [((torch.tensor([[0, 1, 2], [3, 4, 5]]),), {})]
    both = proof_of(Tied(), group("words", 6, "words.weight[1] makes", "head.weight[1] reads"), examples=words)
    assert both.pinned == {}
    one = proof_of(Tied(), group("words", 6, "words.weight[1] makes"), examples=words)
    assert one.pinned["words"] == "words.weight and head.weight are one tensor, and would not lose the same"
    rows = proof_of(Tied(), group("words", 7, "words.weight[0] makes", "head.weight[0] makes"), examples=words)
    assert "raises" in rows.pinned["words"]  # a word that is not there any more


CALLS = itertools.count()


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda self, x: self[0](x) + next(CALLS), "nothing is proved in evaluation mode: outputs differ each time"),
        (lambda self, x: self[9](x), "nothing is proved in evaluation mode with example 1: IndexError"),
        (
            lambda self, x: self[0](x) / 0 - self[0](x) / 0,
            "nothing is proved in evaluation mode: outputs differ each time, or",
        ),
        (lambda self, x: "words", "nothing is proved in evaluation mode: no tensor comes out"),
    ],
)
def test_a_network_that_cannot_be_probed_keeps_all(forward: Callable[[Any, Tensor], Any], reason: str) -> None:
    kind = type("Own", (nn.Sequential,), {"forward": forward})
    proof = proof_of(kind(nn.Conv2d(3, 4, 1)), group("0", 4, "0.weight[0] makes", "0.bias[0] makes"))
    assert proof.pinned["0"].startswith(reason)
    assert proof.proposal.kept["0.weight[0]"] == proof.pinned["0"]


def test_the_network_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Conv2d(6, 4, 1)).eval()
    model[1].train()
    model[0].weight.requires_grad = False
    model.limit = 6
    before = {
        name: (id(t), t.clone(), t.requires_grad) for name, t in [*model.named_parameters(), *model.named_buffers()]
    }
    example = images(6)
    drawn = torch.random.get_rng_state()
    given = example[0][0][0].clone()
    places = ["0.weight[0] makes", "0.bias[0] makes", *norm("1"), "3.weight[1] reads"]
    proof = proof_of(model, group("0", 6, *places), rules=[AttributeRule("", "limit", "0", 1)], examples=example)
    assert proof.pinned == {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        same, value, trained = before[name]
        assert (id(tensor), tensor.requires_grad) == (same, trained)
        assert torch.equal(tensor, value)
        assert tensor.grad is None
    assert [m.training for m in model] == [False, True, False, False]
    assert (model.limit, model[0].out_channels, model[1].num_features) == (6, 6, 6)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(example[0][0][0], given)
