"""Live networks of any kind are cut: every tensor stays what it was, and the integers of layers follow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunetui.api.groups import Group, Role, Slice, one_each
from prunetui.engine.layers import DoesNotFit
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.proposal import AttributeRule, Proposal
from prunetui.engine.tracing.shrink import shrink
from prunetui.engine.tracing.silence import silence


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def only(tensor: str, dimension: int, width: int, each: int = 1, role: Role = "makes") -> Proposal:
    return Proposal((Group("g", (Slice(tensor, dimension, one_each(width, each), role),)),))


def cut(module: nn.Module, tensor: str, dimension: int, keep: list[int], each: int = 1) -> nn.Module:
    """The module without what is not kept of one tensor, and of what else of it lies along the same channels."""
    mask = torch.tensor(keep, dtype=torch.bool)
    pieces = [Slice(tensor, dimension, one_each(len(keep), each), "makes")]
    size = len(keep) * each
    for name, other in named_tensors(module).items():
        if name != tensor and dimension == 0 and other.dim() == 1 and len(other) == size:
            pieces.append(Slice(name, 0, one_each(len(keep), each), "scales"))
    shrink(module, Proposal((Group("g", tuple(pieces)),)), {"g": mask})
    return module


@pytest.mark.parametrize(
    ("module", "dimension", "each", "inputs", "attributes"),
    [
        (nn.Linear(3, 4), 0, 1, (2, 3), {"in_features": 3, "out_features": 2}),
        (nn.Linear(4, 3), 1, 1, (2, 2), {"in_features": 2, "out_features": 3}),
        (nn.Linear(8, 3), 1, 2, (2, 4), {"in_features": 4}),
        (nn.Conv1d(3, 4, 1), 0, 1, (2, 3, 5), {"out_channels": 2, "in_channels": 3, "groups": 1}),
        (nn.Conv3d(4, 3, 1), 1, 1, (2, 2, 3, 3, 3), {"out_channels": 3, "in_channels": 2}),
        (nn.Conv2d(4, 4, 3, groups=4), 0, 1, (2, 2, 5, 5), {"out_channels": 2, "in_channels": 2, "groups": 2}),
        (nn.Conv2d(4, 8, 3, groups=4), 0, 2, (2, 2, 5, 5), {"out_channels": 4, "in_channels": 2, "groups": 2}),
        (nn.Conv2d(8, 6, 3, groups=2), 1, 1, (2, 4, 5, 5), {"out_channels": 6, "in_channels": 4, "groups": 2}),
        (nn.ConvTranspose2d(4, 3, 2), 0, 1, (2, 2, 5, 5), {"out_channels": 3, "in_channels": 2}),
        (nn.ConvTranspose1d(3, 4, 2, bias=False), 1, 1, (2, 3, 5), {"out_channels": 2, "in_channels": 3}),
        (nn.ConvTranspose2d(4, 4, 2, groups=4), 0, 1, (2, 2, 5, 5), {"out_channels": 2, "in_channels": 2, "groups": 2}),
        (nn.BatchNorm1d(4), 0, 1, (3, 2), {"num_features": 2}),
        (nn.InstanceNorm2d(4, affine=True), 0, 1, (2, 2, 5, 5), {"num_features": 2}),
        (nn.LayerNorm(4), 0, 1, (3, 2), {"normalized_shape": (2,)}),
        (nn.RMSNorm(4), 0, 1, (3, 2), {"normalized_shape": (2,)}),
        (nn.GroupNorm(2, 4), 0, 2, (2, 2, 5), {"num_channels": 2, "num_groups": 1}),
        (nn.PReLU(4), 0, 1, (3, 2), {"num_parameters": 2}),
    ],
)  # fmt: skip
def test_every_kind_of_layer_computes_what_it_was_cut_to(
    module: nn.Module, dimension: int, each: int, inputs: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    width = module.weight.shape[dimension] // each
    cut(module, "weight", dimension, [1, 0, 1, 0] if width == 4 else [1, 0], each)
    assert {name: getattr(module, name) for name in attributes} == attributes
    assert module(torch.randn(inputs)).isfinite().all()


def test_each_group_of_a_convolution_may_lose_equally_many() -> None:
    module = nn.Conv2d(4, 8, 1, groups=2)
    cut(module, "weight", 0, [1, 0, 1, 1, 1, 1, 0, 1])
    assert (module.out_channels, module.groups) == (6, 2)
    with pytest.raises(DoesNotFit, match="a convolution of 2 groups would be left with 2 to 4 channels in each"):
        cut(nn.Conv2d(4, 8, 1, groups=2), "weight", 0, [1, 0, 1, 0, 1, 1, 1, 1])


def test_embeddings_lose_columns() -> None:
    module = cut(nn.Embedding(5, 4), "weight", 1, [1, 1, 0, 1])
    assert (module.num_embeddings, module.embedding_dim) == (5, 3)
    assert module(torch.tensor([4])).shape == (1, 3)


class Tied(nn.Module):
    """Two names of one table, a frozen scale, a buffer that no state dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight
        self.scale = nn.Parameter(torch.arange(4.0), requires_grad=False)
        self.scale.no_decay = True
        self.register_buffer("mask", torch.tensor([True, False, True, True]), persistent=False)
        self.size = 4


TIED = Group(
    "words",
    tuple(
        Slice(name, dimension, one_each(4), role)
        for name, dimension, role in (
            ("words.weight", 1, "makes"), ("scale", 0, "scales"), ("mask", 0, "scales"), ("head.weight", 1, "reads"),
        )
    ),
)  # fmt: skip


def test_tensors_stay_what_they_were() -> None:
    model = Tied()
    words = model.words.weight.detach().clone()
    shrink(
        model, Proposal((TIED,), (AttributeRule("", "size", "words", 1),)),
        {"words": torch.tensor([False, True, True, False])},
    )  # fmt: skip
    assert model.head.weight is model.words.weight
    assert torch.equal(model.words.weight, words[:, 1:3])
    assert (model.words.embedding_dim, model.head.in_features, model.size) == (2, 2, 2)
    assert model.scale.tolist() == [1.0, 2.0]
    assert (model.scale.requires_grad, model.scale.no_decay, model.words.weight.requires_grad) == (False, True, True)
    assert model.mask.tolist() == [False, True]
    assert "mask" not in model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == 14 + 2


def test_a_tie_that_would_part_is_refused_and_nothing_is_changed() -> None:
    model = Tied()
    half = Group("words", TIED.slices[:3])
    with pytest.raises(DoesNotFit, match=r"words\.weight and head\.weight are one tensor"):
        shrink(model, Proposal((half,)), {"words": torch.tensor([True, True, False, True])})
    assert model.words.weight.shape == (7, 4)
    assert len(model.scale) == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_and_layout_stay(dtype: torch.dtype) -> None:
    model = nn.Conv2d(4, 6, 3).to(dtype).to(memory_format=torch.channels_last)
    cut(model, "weight", 0, [1, 1, 0, 1, 1, 0])
    assert model.weight.dtype == model.bias.dtype == dtype
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    assert not model.weight.is_contiguous()
    across = nn.Linear(4, 3, bias=False)
    across.weight = nn.Parameter(torch.randn(4, 3).t())
    cut(across, "weight", 0, [1, 0, 1])
    assert across.weight.stride() == (1, 2)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"h": torch.tensor([True])}, "no group is called h; there are: g"),
        ({"g": torch.tensor([True])}, r"g has 4 channels; got \(1,\) of torch.bool"),
        ({"g": torch.ones(4)}, r"g has 4 channels; got \(4,\) of torch.float32"),
        ({"g": torch.zeros(4, dtype=torch.bool)}, "g would lose all its 4 channels"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(keep: dict[str, Tensor], words: str) -> None:
    with pytest.raises(DoesNotFit, match=words):
        shrink(nn.Linear(3, 4, bias=False), only("weight", 0, 4), keep)


def test_one_attribute_may_follow_two_groups() -> None:
    model = nn.Module()
    model.a, model.b = nn.Linear(3, 4, bias=False), nn.Linear(3, 2, bias=False)
    model.width = 4 * 3 + 2 + 5
    groups = tuple(Group(n, (Slice(f"{n}.weight", 0, one_each(w), "makes"),)) for n, w in (("a", 4), ("b", 2)))
    rules = (AttributeRule("", "width", "a", 3, 7), AttributeRule("", "width", "b", 1, 17))
    shrink(model, Proposal(groups, rules), {"a": torch.tensor([1, 1, 1, 0]) > 0, "b": torch.tensor([1, 0]) > 0})
    assert model.width == 3 * 3 + 1 + 5


def test_silence_zeroes_what_makes_scales_and_shifts_but_not_what_divides() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))
    nn.init.ones_(model[1].bias)
    model[1].running_mean.fill_(3)
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    pieces = [Slice(name, 0, one_each(2), "scales" if name[0] == "1" else "makes") for name in names]
    read = model[2].weight.detach().clone()
    group = Group("0", (*pieces, Slice("2.weight", 1, one_each(2), "reads")))
    silence(model, [group], {"0": torch.tensor([True, False])})
    first = model[:2].eval()(torch.randn(2, 3, 4, 4))
    assert (first[:, 1] == 0).all()
    assert (first[:, 0] != 0).all()
    assert model[1].running_var.tolist() == [1.0, 1.0]
    assert torch.equal(model[2].weight, read)
    assert model[0].weight.shape == (2, 3, 1, 1)
