"""Whole kernels: all or nothing, a budget in weights, and kernels that earlier masks have opened."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Masks, Net, keep_top_kernels
from prunetui.api.constraints import Constraints
from prunetui.engine.layers import prunable_layers
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.engine.verify_edit import check_achieved
from prunetui.errors import TrialError
from prunetui.plan import Prune
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification


class Three(nn.Module):
    """A 3x3 convolution of two inputs, a 1x1 convolution and a linear layer: 36, 4 and 4 weights."""

    def __init__(self, kernels: list[float]) -> None:
        super().__init__()
        self.wide = nn.Conv2d(2, 2, 3, bias=False)
        self.wide.weight.data = torch.tensor(kernels).view(2, 2, 1, 1).expand(2, 2, 3, 3).clone()
        self.point = nn.Conv2d(2, 2, 1, bias=False)
        self.point.weight.data = torch.tensor([[10.0, 20.0], [30.0, 40.0]]).view(2, 2, 1, 1)
        self.read = nn.Linear(2, 2, bias=False)
        self.read.weight.data = torch.tensor([[11.0, 21.0], [31.0, 41.0]])


def net(model: nn.Module, masks: dict[str, Tensor] | None = None, floor: float = 0.0) -> Net:
    rules = Constraints(prunable_layers(model), floor=floor)
    return Net(model.eval(), masks or {}, [], torch.Generator().manual_seed(0), rules, 1.0, Classification())


def removed(name: str, subject: Net, sparsity: float, **options: Any) -> dict[str, list[Any]]:
    """How many weights of each kernel are gone: [out][in] by layer."""
    edit = method_catalogue.load(name)(**options).prune(subject, sparsity)
    assert isinstance(edit, Masks)
    for layer, keep in edit.keep.items():
        assert keep.shape == subject.weights()[layer].shape
    return {layer: (~keep).flatten(2).sum(2).tolist() if keep.dim() > 2 else (~keep).int().tolist()
            for layer, keep in edit.keep.items()}  # fmt: skip


NAMES = pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kernel-norm", {"norm": "l1"}),
        ("kernel-norm", {"norm": "l2"}),
        ("kernel-svd", {"norm": "spectral"}),
    ],
)


@NAMES
def test_kernels_of_equal_weights_compare_with_single_weights_by_magnitude(name: str, options: dict[str, str]) -> None:
    """Of 44 weights 20 go: 9 + 9 of the kernels of 1s and 2s, then the weights 10 and 11; 15 and 50 stay."""
    found = removed(name, net(Three([1.0, 15.0, 2.0, 50.0])), 20 / 44, **options)
    assert found == {"wide": [[9, 0], [9, 0]], "point": [[1, 0], [0, 0]], "read": [[1, 0], [0, 0]]}


@NAMES
def test_the_local_scope_removes_the_same_share_of_each_layer(name: str, options: dict[str, str]) -> None:
    found = removed(name, net(Three([1.0, 15.0, 2.0, 50.0])), 0.5, scope="local", **options)
    assert found == {"wide": [[9, 0], [9, 0]], "point": [[1, 1], [0, 0]], "read": [[1, 1], [0, 0]]}


@pytest.mark.parametrize("wanted", range(45))
def test_the_budget_is_met_to_within_half_a_kernel(wanted: int) -> None:
    """44 weights in kernels of 9 and 1; of the local scope the layer of 36, and single weights are exact."""
    found = removed("kernel-norm", net(Three([1.0, 15.0, 2.0, 50.0])), wanted / 44)
    gone = {layer: sum(sum(row) for row in rows) for layer, rows in found.items()}
    assert abs(sum(gone.values()) - wanted) <= 4.5
    assert all(number in (0, 9) for row in found["wide"] for number in row)
    local = removed("kernel-norm", net(Three([1.0, 15.0, 2.0, 50.0])), wanted / 44, scope="local")
    for layer, weights, slack in (("wide", 36, 4.5), ("point", 4, 0.5), ("read", 4, 0.5)):
        assert abs(sum(sum(row) for row in local[layer]) - wanted / 44 * weights) <= slack + 1e-6


def test_norms_tell_kernels_apart() -> None:
    """Three kernels: one strong weight (l2 3, l1 3), nine of 0.9 (l2 2.7, l1 8.1) and a diagonal of 1.7."""
    model = nn.Sequential(nn.Conv2d(3, 1, 3, bias=False))
    weight = torch.zeros(1, 3, 3, 3)
    weight[0, 0, 0, 0] = 3.0
    weight[0, 1] = 0.9
    weight[0, 2] = torch.diag(torch.tensor([1.7, 1.7, 1.7]))
    model[0].weight.data = weight  # singular values: 3, 0, 0; 2.7, 0, 0; 1.7, 1.7, 1.7
    lost = {
        (name, norm): removed(name, net(model), 1 / 3, norm=norm)["0"][0].index(9)
        for name, norm in (
            ("kernel-norm", "l1"),
            ("kernel-norm", "l2"),
            ("kernel-svd", "nuclear"),
            ("kernel-svd", "spectral"),
        )
    }
    assert lost == {
        ("kernel-norm", "l1"): 0,
        ("kernel-norm", "l2"): 1,
        ("kernel-svd", "nuclear"): 1,
        ("kernel-svd", "spectral"): 2,
    }


# Masks in force ---------------------------------------------------------------------------------------


def opened() -> dict[str, Tensor]:
    """The first kernel has one weight left, the second none, the third all."""
    mask = torch.ones(2, 2, 3, 3, dtype=torch.bool)
    mask[0, 0] = False
    mask[0, 0, 1, 1] = True
    mask[0, 1] = False
    return {"wide": mask}


def test_kernels_go_with_what_is_left_of_them_and_nothing_comes_back() -> None:
    """17 of 44 are gone; one more is the last of the first kernel, nine more the third kernel instead of weights."""
    subject = net(Three([1.0, 15.0, 2.0, 50.0]), opened())
    assert removed("kernel-norm", subject, 18 / 44)["wide"] == [[9, 9], [0, 0]]
    assert removed("kernel-norm", subject, 27 / 44)["wide"] == [[9, 9], [9, 0]]
    assert removed("kernel-svd", subject, 17 / 44)["wide"] == [[8, 9], [0, 0]]


def test_less_than_what_is_gone_is_refused() -> None:
    with pytest.raises(TrialError, match="more than asked for are already pruned"):
        removed("kernel-norm", net(Three([1.0, 15.0, 2.0, 50.0]), opened()), 5 / 44)


def test_the_same_level_again_changes_nothing() -> None:
    for scope in ("global", "local"):
        first = method_catalogue.load("kernel-norm")(scope=scope).prune(net(Three([1.0, 15.0, 2.0, 50.0])), 0.3).keep
        load = method_catalogue.load
        again = load("kernel-norm")(scope=scope).prune(net(Three([1.0, 15.0, 2.0, 50.0]), first), 0.3).keep
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_every_layer_keeps_its_floor() -> None:
    """Of 36 weights a third is two kernels, for one is too few; of 4 it is two."""
    found = removed("kernel-norm", net(Three([1.0, 3.0, 2.0, 4.0]), floor=1 / 3), 22 / 44)
    assert found == {"wide": [[9, 0], [9, 0]], "point": [[1, 1], [0, 0]], "read": [[1, 1], [0, 0]]}
    with pytest.raises(TrialError, match=r"cannot remove 40 more weights: 22 may go before"):
        removed("kernel-norm", net(Three([1.0, 3.0, 2.0, 4.0]), floor=1 / 3), 0.9)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_equal_scores_are_no_obstacle(scope: str) -> None:
    scores = {"wide": torch.ones(2, 2), "point": torch.ones(2, 2), "read": torch.ones(2, 2)}
    keep = keep_top_kernels(net(Three([1.0] * 4)), scores, 0.5, scope)
    assert abs(sum(int((~mask).sum()) for mask in keep.values()) - 22) <= 4.5


# The engine's slack -----------------------------------------------------------------------------------


def test_the_engine_grants_kernels_their_size_even_when_some_are_open(lively: Any, graph_of: Any) -> None:
    """Two kernels lose a weight first; then kernels go whole, and the budget is missed by some weights."""
    architecture = Architecture("resnet20", 1, 8, 10, width=4)
    state, graph = lively(architecture), graph_of(architecture)
    total = graph.cost("sparsity", graph.dense)
    names = graph.weighted
    before = {name: torch.ones(state.tensors[f"{name}.weight"].shape, dtype=torch.bool) for name in names}
    before["conv1"][:2, 0, 0, 0] = False
    after = {name: mask.clone() for name, mask in before.items()}
    after["layer1.0.conv1"][:2] = False  # 8 kernels
    after["conv1"][0] = False  # one that was open
    gone = sum(int((~mask).sum()) for mask in after.values())
    step = Prune("kernel-norm", {}, "", "sparsity", (gone - 4.5 * len(names)) / total, 1.0, 16)
    open_, whole = (State(architecture, state.tensors, masks) for masks in (before, after))
    check_achieved(step, Masks(after), open_, whole, graph)
    after["layer1.0.conv1"][2, 0, 0, 0] = False  # no longer whole kernels
    with pytest.raises(TrialError, match="kernel-norm was asked for"):
        check_achieved(step, Masks(after), open_, State(architecture, state.tensors, after), graph)
