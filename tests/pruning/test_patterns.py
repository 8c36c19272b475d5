"""n of m by any score: literal rows, and methods against independent computations."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.dsnot import exchanges
from methods.sparsegpt import read_columns
from prunetui.api import Net, TrialError, input_moments, keep_pattern
from prunetui.api.patterns import from_input_rows, input_rows, pattern_of_rows
from prunetui.plugins import method_catalogue
from tests.pruning.test_criteria import net
from tests.pruning.test_sources import column_by_column


def patterned(subject: Net) -> Net:
    return dataclasses.replace(subject, constraints=dataclasses.replace(subject.constraints, target="pattern"))


def two_layers() -> tuple[nn.Sequential, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)).double()
    return model, [(torch.randn(n, 8).double() + 0.5, torch.zeros(n, dtype=torch.long)) for n in (20, 16, 4)]


def method(name: str, **options: Any) -> Any:
    return method_catalogue.load(name)(**options)


def test_the_highest_of_every_m_stay() -> None:
    scores = torch.tensor([[4.0, 3, 2, 1, 0, 5, 6, 7], [1.0, 2, 3, 4, 7, 6, 5, 0]])
    assert pattern_of_rows(scores, 2, 4).int().tolist() == [[1, 1, 0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1, 0, 0]]
    assert pattern_of_rows(scores, 1, 2).int().tolist() == [[1, 0, 1, 0, 0, 1, 0, 1], [0, 1, 0, 1, 1, 0, 1, 0]]


def test_rows_have_the_input_channels_of_a_place_side_by_side() -> None:
    weight = torch.arange(8.0).view(1, 4, 2, 1)  # channel 0 has 0 and 1 at its two places
    assert input_rows(weight).tolist() == [[0, 2, 4, 6, 1, 3, 5, 7]]
    assert torch.equal(from_input_rows(input_rows(weight), weight), weight)


def test_what_is_pruned_already_comes_last_and_layers_that_do_not_fit_stay_dense() -> None:
    model = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 3))
    subject = dataclasses.replace(patterned(net(model, [])), masks={"0": torch.tensor([[False, True, True, True]])})
    scores = {"0": torch.tensor([[9.0, 1, 2, 3]]), "1": torch.ones(3, 1)}
    assert {n: k.tolist() for n, k in keep_pattern(subject, scores, 2, 4).items()} == {
        "0": [[False, False, True, True]]
    }
    with pytest.raises(TrialError, match="no layer has input channels in multiples of 3"):
        keep_pattern(subject, {"0": scores["0"]}, 2, 3)


@pytest.mark.parametrize("score", ["wanda", "ria"])
def test_wanda_by_a_pattern_is_its_score_within_every_m_block_by_block(score: str) -> None:
    model, data = two_layers()
    found = method("wanda", score=score, n=1, m=2).prune(patterned(net(model, data)), 0.5)
    read = torch.cat([inputs for inputs, _ in data])
    for place in ("0", "2"):
        layer: Any = model[int(place)]
        size, norm = layer.weight.detach().abs(), read.norm(dim=0)
        scores = size * norm if score == "wanda" else (size / size.sum(0) + size / size.sum(1)[:, None]) * norm.sqrt()
        first = scores[:, ::2] > scores[:, 1::2]
        assert torch.equal(found.keep[place][:, ::2], first)
        assert torch.equal(found.keep[place][:, 1::2], ~first)
        read = F.relu(read @ (layer.weight.detach() * found.keep[place]).T + layer.bias.detach())


def test_a_pattern_leaves_no_room_for_layer_budgets() -> None:
    model, data = two_layers()
    with pytest.raises(TrialError, match="the same share of every layer, which budget = owl would not"):
        method("wanda", budget="owl", n=1, m=2).prune(patterned(net(model, data)), 0.5)


@pytest.mark.parametrize("name", ["taylor", "gradient", "obd"])
def test_methods_that_score_weights_keep_the_best_of_every_m(name: str) -> None:
    model, data = two_layers()
    keep = method(name, n=1, m=2).prune(patterned(net(model, data)), 0.5).keep
    weight = model[0].weight.detach()
    one = [torch.autograd.grad(F.cross_entropy(model(x), y), model[0].weight)[0] for x, y in data]
    sizes = [len(x) for x, _ in data]
    mean = sum(g * n for g, n in zip(one, sizes, strict=True)) / sum(sizes)  # type: ignore[operator]
    each = [torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), model[0].weight)[0]
            for x, y in data for i in range(len(x))]  # fmt: skip
    scores = {
        "taylor": sum((weight * g).square() for g in one), "gradient": (weight * mean).abs(),
        "obd": weight.square() * torch.stack(each).square().mean(0),
    }[name]  # fmt: skip
    assert torch.equal(keep["0"][:, ::2], scores[:, ::2] > scores[:, 1::2])
    assert bool((keep["2"].view(4, 3, 2).sum(2) == 1).all())


@pytest.mark.parametrize("columns", [2, 5, 8])
def test_sparsegpt_decides_for_every_m_columns_by_what_they_are_by_then(columns: int) -> None:
    """Unstructured, of m columns at a time and one row, n of them stay: that is the same."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 1)).double()
    data = [(torch.randn(n, 8).double(), torch.zeros(n, dtype=torch.long)) for n in (20, 16, 4)]
    found = method("sparsegpt", columns=columns, damping=0.1, n=1, m=2).prune(patterned(net(model, data)), 0.5)
    read = torch.cat([inputs for inputs, _ in data])
    hessian = read.T @ read
    hessian += 0.1 * hessian.diagonal().mean() * torch.eye(8).double()
    keep, values = column_by_column(model[0].weight.detach(), hessian, 0.5, 2)
    assert torch.equal(found.keep["0"], keep)
    torch.testing.assert_close(found.moved["0.weight"].double(), values, rtol=1e-4, atol=1e-5)


def test_sparsegpt_by_a_pattern_fits_convolutions_place_by_place() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1))
    subject = patterned(net(model, [(torch.randn(6, 4, 5, 5), torch.zeros(6, dtype=torch.long))]))
    edit = method("sparsegpt").prune(subject, 0.5)
    assert bool((edit.keep["0"].sum(1) == 2).all())
    assert not edit.moved["0.weight"][~edit.keep["0"]].any()


def test_sparsegpt_reads_what_a_convolution_pads_with() -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 2, 5, 5)
    for more in ({"padding": 1, "padding_mode": "circular"}, {"padding": "same"}, {"padding": (0, 2), "stride": 2}):
        layer = nn.Conv2d(2, 4, 3, bias=False, **more)  # type: ignore[arg-type]
        made = input_rows(layer.weight) @ read_columns(layer, images)
        torch.testing.assert_close(made, layer(images).transpose(0, 1).flatten(1), rtol=1e-4, atol=1e-5)


# Exchanges without training ---------------------------------------------------------------------------


def test_what_makes_up_for_most_comes_and_the_least_that_adds_to_it_goes() -> None:
    adds = torch.tensor([[3.0, 1.0, -2.0, -0.5, 2.0]])
    keep = torch.tensor([[False, False, True, True, True]])  # 4 is lacking
    comes, importance = adds.clone(), torch.tensor([[3.0, 1.0, 2.0, 0.5, 0.1]])
    once = exchanges(adds, comes, importance, keep, 1, 0.1, 0)
    assert once.tolist() == [[True, False, True, False, True]]  # + 3, and without -0.5: 0.5 is lacking
    twice = exchanges(adds, comes, importance, keep, 2, 0.1, 0)
    assert twice.tolist() == [[True, True, False, False, True]]
    assert torch.equal(exchanges(adds, comes, importance, keep, 50, 0.6, 0), once)  # enough
    assert torch.equal(exchanges(adds, comes, importance, keep, 50, 5.0, 0), keep)


def test_in_a_pattern_the_least_of_the_same_m_goes_unless_the_row_had_too_much_then() -> None:
    adds = torch.tensor([[1.0, 5.0, 1.5, 2.0]])
    keep = torch.tensor([[False, True, True, False]])  # 3 is lacking
    found = exchanges(adds, adds, adds.abs(), keep, 50, 2.5, 2)
    assert found.tolist() == [[False, True, False, True]]  # + 2 - 1.5: 2.5 is lacking, which is enough
    assert found.view(2, 2).sum(1).tolist() == [1, 1]
    over = torch.tensor([[1.0, 5.0, -9.0, 2.0]])  # + 2 - -9 would be too much by 8
    assert torch.equal(exchanges(over, over, over.abs(), keep, 50, 2.5, 2), keep)


def test_dsnot_begins_with_wanda_and_brings_the_means_of_outputs_back() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 4)).double()
    data = [(torch.randn(n, 64).double() + 0.5, torch.zeros(n, dtype=torch.long)) for n in (20, 16)]
    subject = net(model, data)
    wanda = method("wanda").prune(subject, 0.5).keep
    assert {n: k.tolist() for n, k in method("dsnot", threshold=1e9).prune(subject, 0.5).keep.items()} == {
        n: k.tolist() for n, k in wanda.items()
    }
    found = method("dsnot", threshold=0.05).prune(subject, 0.5).keep
    assert found["0"].sum(1).tolist() == wanda["0"].sum(1).tolist()
    mean = torch.cat([x for x, _ in data]).mean(0)
    lacking = [((~keep["0"]) * model[0].weight.detach() * mean).sum(1).abs().sum() for keep in (wanda, found)]
    assert lacking[1] < 0.5 * lacking[0]


def test_moments_are_of_what_each_weight_reads() -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(2, 3, 3, padding=1), torch.randn(5, 2, 4, 4)
    model = nn.Sequential(layer)
    labels = torch.zeros(5, dtype=torch.long)
    found = input_moments(net(model, [(images[:2], labels[:2]), (images[2:], labels[2:])]), ["0"])["0"]
    patches = F.unfold(images, 3, padding=1)  # [5, 18, 16]
    torch.testing.assert_close(found.total.flatten(), patches.sum((0, 2)) / 5, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.energy.flatten(), patches.square().sum((0, 2)), rtol=1e-4, atol=1e-5)
    inner = [4, 13]  # the middle of the kernel reads no padding
    torch.testing.assert_close(
        found.variance.flatten()[inner], images.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-5
    )
