"""Filters that are shared or merged: exact sizes, the same outputs, saved with their labels, never twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from prunetui.api import Channels, Masks, Modules, Net, Shared, cluster_filters, filter_weights
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.config import LayersTable
from prunetui.engine.count import count
from prunetui.engine.edits import apply
from prunetui.engine.graph import Graph
from prunetui.engine.layers.shared_convolution import SharedConv2d
from prunetui.engine.models import Architecture
from prunetui.engine.models.read_checkpoint import read_checkpoint
from prunetui.engine.state import State, from_files, instantiate, model_bytes
from prunetui.engine.verify_edit import check_achieved
from prunetui.errors import TrialError
from prunetui.plan import Prune
from prunetui.plugins import method_catalogue

CIFAR = Architecture("resnet20", 3, 32, 10, "B", width=16)
SMALL = Architecture("resnet20", 1, 8, 10, width=4)
CPU = torch.device("cpu")
LAYER = "layer1.0.conv1"
GraphOf = Callable[[Architecture], Graph]
Lively = Callable[..., State]


@pytest.fixture
def edited(lively: Lively, graph_of: GraphOf, net_of: Callable[..., Net]) -> Callable[..., Any]:
    """Method, ratio and options -> its edit of a state and the state after it, as a study's engine would."""

    def make(
        name: str, ratio: float, state: State | None = None, architecture: Architecture = SMALL, **options: Any
    ) -> tuple[Any, State]:
        state, graph = state or lively(architecture), graph_of(architecture)
        random = torch.Generator().manual_seed(2)
        images = torch.randn(4, architecture.channels, architecture.size, architecture.size, generator=random)
        net = net_of(state, graph, "channels", batches=[(images, torch.arange(4))])
        edit = method_catalogue.load(name)(**options).prune(net, ratio)
        return edit, apply(edit, state, graph)

    return make


def outputs(state: State, dtype: torch.dtype = torch.float64) -> Tensor:
    shape = (5, state.architecture.channels, state.architecture.size, state.architecture.size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(9), dtype=dtype)
    with torch.no_grad():
        found: Tensor = instantiate(state, CPU).to(dtype)(images)
    return found


def changed(state: State, **tensors: Tensor) -> State:
    """The state with other tensors; dots in their names are written as double underscores."""
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    assert set(named) <= set(state.tensors)
    return State(state.architecture, {**state.tensors, **named})


# Sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ratio", "params", "mmacs"),
    [
        ("kmeans-shared", 0.5, 137_562, 20.63),
        ("kmeans-shared", 0.8, 53_242, 8.01),
        ("kmeans-shared", 0.9, 27_514, 3.79),
        ("kmeans-merge", 0.5, 138_506, 20.76),
        ("kmeans-merge", 0.8, 54_776, 8.23),
        ("kmeans-merge", 0.9, 29_222, 4.02),
    ],
)
def test_resnet20_has_exactly_these_sizes(
    name: str, ratio: float, params: int, mmacs: float, edited: Callable[..., Any]
) -> None:
    """Of 272,474 parameters and 40.81 million multiply-accumulates."""
    _, after = edited(name, ratio, architecture=CIFAR)
    counts = count(instantiate(after, CPU), torch.zeros(1, 3, 32, 32))
    assert counts.params == params
    assert round(counts.macs / 1e6, 2) == mmacs


def test_the_engine_counts_what_the_shared_net_holds(edited: Callable[..., Any], graph_of: GraphOf) -> None:
    _, after = edited("kmeans-shared", 0.8, architecture=CIFAR)
    counts = count(instantiate(after, CPU), torch.zeros(1, 3, 32, 32))
    graph = graph_of(CIFAR)
    assert graph.present("params", after.tensors) == counts.params
    assert graph.present("macs", after.tensors) == counts.macs


@pytest.mark.parametrize(("options", "floor", "width"), [({}, 0.0, 3), ({"round_to": 4}, 0.0, 4), ({}, 0.2, 4)])
@pytest.mark.parametrize("name", ["kmeans-shared", "kmeans-merge"])
def test_multiples_and_the_floor_are_respected(
    name: str, options: dict[str, int], floor: float, width: int,
    lively: Lively, graph_of: GraphOf, net_of: Callable[..., Net],
) -> None:  # fmt: skip
    """Of 16 channels a ratio of 0.8 keeps 3, not below 4 in multiples of 4, and 4 where a fifth is the least."""
    state, graph = lively(CIFAR), graph_of(CIFAR)
    images = [(torch.randn(2, 3, 32, 32), torch.arange(2))]
    net = net_of(state, graph, "channels", batches=images, floor=floor)
    edit = method_catalogue.load(name)(**options).prune(net, 0.8)
    found = len(edit.shared[LAYER].weight) if isinstance(edit, Modules) else int(edit.keep[LAYER].sum())
    assert found == width
    step = Prune(name, dict(options), "", "channels", 0.8, 1.0, 16, {"floor": floor})
    check_achieved(step, edit, state, apply(edit, state, graph), graph)
    net = net_of(state, graph, "channels", batches=images, floor=0.5)
    with pytest.raises(TrialError, match=r"50\.00% may go before every layer is at its floor"):
        method_catalogue.load(name)(**options).prune(net, 0.8)


def test_layers_that_a_study_keeps_are_not_shared(
    lively: Lively, graph_of: GraphOf, net_of: Callable[..., Net]
) -> None:
    graph = graph_of(SMALL).restricted(LayersTable(exclude=("layer2.*",)))
    images = [(torch.randn(2, 1, 8, 8), torch.arange(2))]
    net = net_of(lively(SMALL), graph, "channels", batches=images, edit="modules")
    shared = method_catalogue.load("kmeans-shared")().prune(net, 0.5).shared
    assert {name.split(".")[0] for name in shared} == {"layer1", "layer3"}


@pytest.mark.parametrize(("kept", "fine"), [(2, True), (3, False), (1, False)])
def test_the_engine_notices_layers_with_too_many_or_too_few_filters(
    kept: int, fine: bool, lively: Lively, graph_of: GraphOf
) -> None:
    state, graph = lively(SMALL), graph_of(SMALL)
    labels = torch.arange(4) % kept
    edit = Modules({LAYER: Shared(state.tensors[f"{LAYER}.weight"][:kept], labels)})
    step = Prune("lazy", {}, "", "channels", 0.5, progress=1.0, images=16)
    after = apply(edit, state, graph)
    if fine:
        check_achieved(step, edit, state, after, graph)
        return
    with pytest.raises(TrialError, match=rf"lazy was asked for channels:0\.5 and removed {(4 - kept) / 4:.4%}"):
        check_achieved(step, edit, state, after, graph)


# What a shared layer computes -------------------------------------------------------------------------


@pytest.fixture
def shared_conv(lively: Lively, graph_of: GraphOf) -> tuple[SharedConv2d, nn.Conv2d]:
    """A layer of 3 filters and 8 outputs with stride 2, and the ordinary one with the filters written out."""
    state = lively(Architecture("resnet20", 1, 8, 10, width=4))
    name = "layer2.0.conv1"
    labels = torch.tensor([0, 1, 0, 2, 2, 2, 1, 0])
    filters = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    after = apply(Modules({name: Shared(filters, labels)}), state, graph_of(SMALL))
    layer = instantiate(after, CPU).get_submodule(name)
    assert isinstance(layer, SharedConv2d)
    plain = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
    plain.weight.data = filters[labels].clone()
    return layer, plain


def test_a_shared_layer_computes_what_the_written_out_one_computes(shared_conv: tuple[SharedConv2d, nn.Conv2d]) -> None:
    layer, plain = shared_conv
    images = torch.randn(2, 4, 6, 6)
    assert layer(images).shape == (2, 8, 3, 3)
    torch.testing.assert_close(layer(images), plain(images))


def test_the_gradient_of_a_filter_is_the_sum_over_its_outputs(shared_conv: tuple[SharedConv2d, nn.Conv2d]) -> None:
    layer, plain = shared_conv
    images, signal = torch.randn(2, 4, 6, 6), torch.randn(2, 8, 3, 3)
    for module in (layer, plain):
        (module(images) * signal).sum().backward()
    assert layer.weight.grad is not None
    assert plain.weight.grad is not None
    for i in range(3):
        torch.testing.assert_close(layer.weight.grad[i], plain.weight.grad[layer.labels == i].sum(0))


def test_a_shared_net_comes_back_from_disk_with_its_labels_and_its_outputs(edited: Callable[..., Any]) -> None:
    _, after = edited("kmeans-shared", 0.5)
    back = from_files(load(model_bytes(after)), {}, SMALL)
    assert torch.equal(back.tensors[f"{LAYER}.labels"], after.tensors[f"{LAYER}.labels"])
    assert torch.equal(outputs(back), outputs(after))


@pytest.mark.parametrize("name", ["kmeans-shared", "kmeans-merge"])
def test_prunetui_evaluate_reads_a_saved_net(
    name: str, edited: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, after = edited(name, 0.5)
    about = {"data": "digits", "mean": [0.5], "std": [0.5]}
    file = tmp_path / "net.safetensors"
    file.write_bytes(model_bytes(after, about))
    read = read_checkpoint(file)
    assert set(read.tensors) == set(after.tensors)
    evaluate_checkpoint(file, None, None, ["data.limit=200"], "cpu", as_json=True)
    assert '"top1"' in capsys.readouterr().out


# Clusters ---------------------------------------------------------------------------------------------


def clusters_of(points: list[list[float]], k: int, **options: Any) -> list[int]:
    rows = torch.tensor(points)
    weights = filter_weights(rows, options.pop("weighting", "none"))
    return cluster_filters(rows, k, torch.Generator().manual_seed(0), weights=weights, **options).labels.tolist()


def test_clusters_are_numbered_by_their_first_filters() -> None:
    assert clusters_of([[9.0], [0.0], [9.1], [0.1], [5.0]], 3) == [0, 1, 0, 1, 2]


def test_fewer_distinct_filters_than_clusters_still_use_every_cluster() -> None:
    labels = clusters_of([[1.0], [1.0], [1.0], [2.0]], 3)
    assert sorted(set(labels)) == [0, 1, 2]
    assert labels[3] not in labels[:3]
    assert sorted(set(clusters_of([[0.0]] * 4, 3, weighting="svd"))) == [0, 1, 2]


def test_as_many_clusters_as_filters_are_the_filters() -> None:
    assert clusters_of([[1.0], [1.0], [3.0]], 3) == [0, 1, 2]


def test_means_are_weighted_and_firsts_are_in_the_order_of_the_clusters() -> None:
    clusters = cluster_filters(
        torch.tensor([[9.0], [0.0], [8.0]]), 2, torch.Generator().manual_seed(0), weights=torch.tensor([3.0, 1.0, 1.0])
    )
    values = torch.tensor([[4.0], [2.0], [8.0]])
    assert clusters.means(values).tolist() == [[5.0], [2.0]]
    assert clusters.sums(values).tolist() == [[12.0], [2.0]]
    assert clusters.firsts().tolist() == [True, True, False]


def test_pca_clusters_by_the_directions_that_vary_most() -> None:
    """The last coordinate is a tenth of the variance and is dropped: points pair up by the first."""
    points = [[0.0, 3.0, 0.0], [0.5, -3.0, 0.0], [10.0, 3.0, 0.0], [10.5, -3.0, 0.0]]
    assert clusters_of(points, 2, pca=0.7) == [0, 0, 1, 1]
    for wrong in (-0.1, 1.5):
        with pytest.raises(TrialError, match="pca is the fraction of variance that is kept"):
            clusters_of(points, 2, pca=wrong)


def test_weights_of_filters() -> None:
    filters = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    assert filter_weights(filters, "none").tolist() == [1, 1, 1]
    assert filter_weights(filters, "norm").tolist() == pytest.approx([1, 0.2, 1e-6])
    rank_one = filter_weights(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), "svd")  # the second is not in what leads
    assert rank_one.tolist() == pytest.approx([1, 1e-6])


def test_filters_that_are_not_finite_are_refused() -> None:
    with pytest.raises(TrialError, match="not finite"):
        clusters_of([[1.0], [float("nan")]], 1)


@pytest.mark.parametrize("name", ["kmeans-shared", "kmeans-merge"])
@pytest.mark.parametrize("options", [{"pca": 0.6}, {"weighting": "none"}, {"weighting": "norm"}, {"weighting": "svd"}])
def test_pca_and_weighting_change_the_clusters_and_are_repeatable(
    name: str, options: dict[str, Any], edited: Callable[..., Any]
) -> None:
    other = {"weighting": "svd" if options.get("weighting") != "svd" else "none"}
    first, second, third = (edited(name, 0.7, architecture=CIFAR, **o)[0] for o in (options, options, other))

    def moved(edit: Any) -> np.ndarray:
        tensors = [t for _, t in sorted(edit.moved.items())]
        return torch.cat([t.flatten() for t in tensors]).numpy()

    assert np.array_equal(moved(first), moved(second))
    assert not np.array_equal(moved(first), moved(third))


# Sharing ----------------------------------------------------------------------------------------------


def test_outputs_that_are_multiples_of_few_filters_share_them_without_a_loss(
    edited: Callable[..., Any], lively: Lively
) -> None:
    """Every layer made of half as many directions in any lengths: the batch norms take the lengths up."""
    state = lively(SMALL)
    random = torch.Generator().manual_seed(5)
    tensors = dict(state.tensors)
    for name, weight in state.tensors.items():
        if name.endswith(".weight") and weight.dim() == 4 and name != "conv1.weight":
            half = weight[: len(weight) // 2].repeat(2, 1, 1, 1)
            tensors[name] = half * (0.5 + torch.rand(len(half), 1, 1, 1, generator=random))
    few = State(SMALL, tensors)
    edit, after = edited("kmeans-shared", 0.5, few)
    assert edit.shared[LAYER].labels.tolist() == [0, 1, 0, 1]
    torch.testing.assert_close(outputs(after), outputs(few), rtol=1e-4, atol=1e-4)
    _, raw = edited("kmeans-shared", 0.5, few, unit_norm=False)
    assert (outputs(raw) - outputs(few)).abs().max() > 0.01


def test_without_unit_norm_a_layer_keeps_the_means_of_its_filters(edited: Callable[..., Any], lively: Lively) -> None:
    edit, _ = edited("kmeans-shared", 0.5, unit_norm=False, weighting="none")
    filters, labels = lively(SMALL).tensors[f"{LAYER}.weight"], edit.shared[LAYER].labels
    for i, mean in enumerate(edit.shared[LAYER].weight):
        torch.testing.assert_close(mean.float(), filters[labels == i].mean(0))
    assert edit.moved == {}


@pytest.mark.parametrize("name", ["kmeans-shared", "kmeans-merge"])
def test_a_ratio_of_zero_changes_nothing(name: str, edited: Callable[..., Any], lively: Lively) -> None:
    _, after = edited(name, 0.0)
    torch.testing.assert_close(outputs(after), outputs(lively(SMALL)), rtol=1e-5, atol=1e-5)


# Merging ----------------------------------------------------------------------------------------------


@pytest.fixture
def doubled(lively: Lively, graph_of: GraphOf) -> State:
    """A net whose inner channels all come twice: the same filter and batch norm, read with different weights."""
    state = lively(SMALL)
    tensors = dict(state.tensors)
    for group in graph_of(SMALL).groups:
        if len(group.producers) == 1:
            for name in (f"{group.name}.weight", *(f"{group.norms[0]}.{t}" for t in
                         ("weight", "bias", "running_mean", "running_var"))):  # fmt: skip
                half = tensors[name][: group.width // 2]
                tensors[name] = torch.cat([half, half])
    return State(SMALL, tensors)


@pytest.mark.parametrize("options", [{}, {"cluster": "filters", "weighting": "none"}, {"weighting": "norm"}])
def test_channels_that_come_twice_merge_without_a_loss(
    options: dict[str, Any], doubled: State, edited: Callable[..., Any]
) -> None:
    edit, after = edited("kmeans-merge", 0.5, doubled, **options)
    assert edit.keep[LAYER].tolist() == [True, True, False, False]
    assert after.tensors[f"{LAYER}.weight"].shape == (2, 4, 3, 3)
    torch.testing.assert_close(outputs(after), outputs(doubled), rtol=1e-4, atol=1e-4)


def test_only_the_sum_of_what_reads_equal_channels_is_right(doubled: State, edited: Callable[..., Any]) -> None:
    found = {c: edited("kmeans-merge", 0.5, doubled, consumer=c)[1] for c in ("sum", "first", "mean")}
    reader = "layer1.0.conv2.weight"
    old = doubled.tensors[reader]
    torch.testing.assert_close(found["sum"].tensors[reader], old[:, :2] + old[:, 2:])
    torch.testing.assert_close(found["mean"].tensors[reader], (old[:, :2] + old[:, 2:]) / 2)
    torch.testing.assert_close(found["first"].tensors[reader], old[:, :2])
    for wrong in ("first", "mean"):
        assert (outputs(found[wrong]) - outputs(doubled)).abs().max() > 0.01


def test_channels_that_are_positive_multiples_merge_without_a_loss(doubled: State, edited: Callable[..., Any]) -> None:
    """relu(a x) = a relu(x): what reads the longer channel takes its length over."""
    times = torch.tensor([1.0, 1.0, 2.0, 0.5])
    longer = changed(
        doubled,
        layer1__0__bn1__weight=doubled.tensors["layer1.0.bn1.weight"] * times,
        layer1__0__bn1__bias=doubled.tensors["layer1.0.bn1.bias"] * times,
    )
    _, after = edited("kmeans-merge", 0.5, longer)
    torch.testing.assert_close(outputs(after), outputs(longer), rtol=1e-4, atol=1e-4)


def test_a_merged_batch_norm_computes_the_mean_of_what_the_old_ones_computed(
    edited: Callable[..., Any], lively: Lively
) -> None:
    """All four channels into one, before the ReLU: mean over i of gamma_i (w_i x - mean_i) / sigma_i + beta_i."""
    state = lively(SMALL)
    _, after = edited("kmeans-merge", 0.75, cluster="filters", weighting="none")
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)

    def shown(of: State) -> Tensor:
        net = instantiate(of, CPU).double()
        with torch.no_grad():
            found: Tensor = net.get_submodule("layer1.0.bn1")(net.get_submodule(LAYER)(x))
        return found

    torch.testing.assert_close(shown(after), shown(state).mean(1, keepdim=True), rtol=1e-5, atol=1e-5)
    gamma = state.tensors["layer1.0.bn1.weight"].abs().mean()
    assert float(after.tensors["layer1.0.bn1.weight"]) == pytest.approx(float(gamma))


def test_a_batch_norm_may_start_afresh(edited: Callable[..., Any]) -> None:
    _, after = edited("kmeans-merge", 0.5, norm="reset")
    fresh = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
    assert model_bytes(after)  # no two tensors lie in the same memory
    for tensor, value in fresh.items():
        assert after.tensors[f"layer1.0.bn1.{tensor}"].tolist() == [value] * 2


# Refusals ---------------------------------------------------------------------------------------------


def halved(state: State) -> Modules:
    return Modules({LAYER: Shared(state.tensors[f"{LAYER}.weight"][:2], torch.tensor([0, 1, 0, 1]))})


def test_a_layer_shares_once(edited: Callable[..., Any], lively: Lively, graph_of: GraphOf) -> None:
    once = apply(halved(lively(SMALL)), lively(SMALL), graph_of(SMALL))
    with pytest.raises(TrialError, match=rf"the outputs of {LAYER} share filters already"):
        edited("kmeans-shared", 0.5, once)
    with pytest.raises(TrialError, match=f"{LAYER} is shared already"):
        apply(Modules({LAYER: Shared(once.tensors[f"{LAYER}.weight"], torch.tensor([0, 1]))}), once, graph_of(SMALL))


def test_a_masked_layer_neither_shares_nor_merges(
    edited: Callable[..., Any], lively: Lively, graph_of: GraphOf
) -> None:
    mask = torch.ones(4, 4, 3, 3, dtype=torch.bool)
    mask[:, 0] = False
    mask[0] = False
    masked = apply(Masks({LAYER: mask}), lively(SMALL), graph_of(SMALL))
    with pytest.raises(TrialError, match=f"{LAYER} is masked already; it cannot share filters"):
        edited("kmeans-shared", 0.5, masked)
    with pytest.raises(TrialError, match=rf"the new value of {LAYER}\.weight brings back weights"):
        edited("kmeans-merge", 0.5, masked)


def test_no_channel_is_removed_from_a_shared_layer(lively: Lively, graph_of: GraphOf) -> None:
    once = apply(halved(lively(SMALL)), lively(SMALL), graph_of(SMALL))
    with pytest.raises(TrialError, match=f"the outputs of {LAYER} share filters; channels cannot be removed"):
        apply(Channels({LAYER: torch.tensor([True, False, True, False])}), once, graph_of(SMALL))
