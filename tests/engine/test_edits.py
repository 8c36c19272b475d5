"""The one place where a net changes: removal computes what silencing computes, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Channels, Masks
from prunetui.engine.edits import apply, apply_masks, check_removal, remove_channels, zero_channels
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.errors import TrialError

NETS = {
    "resnet18": Architecture("resnet18", 3, 16, 10, width=8),
    "resnet50": Architecture("resnet50", 3, 16, 10, width=4),
    "resnet20 A": Architecture("resnet20", 3, 16, 10, "A", width=8),
    "resnet20 B": Architecture("resnet20", 3, 16, 10, "B", width=8),
    "vgg16": Architecture("vgg16", 3, 16, 10, width=8),
}
every_net = pytest.mark.parametrize("net", list(NETS))
SMALL = Architecture("resnet20", 1, 8, 10, width=4)
CPU = torch.device("cpu")
GraphOf = Callable[[Architecture], Graph]
Lively = Callable[..., State]


def halves(graph: Graph) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(4)
    keep = {}
    for group in graph.groups:
        order = torch.randperm(group.width, generator=random)
        keep[group.name] = torch.zeros(group.width, dtype=torch.bool)
        keep[group.name][order[: max(1, group.width // 2)]] = True
    return keep


def contents(state: State) -> dict[str, Tensor]:
    parts = {"tensor": state.tensors, "mask": state.masks, "momentum": state.momentum}
    return {f"{part}/{name}": tensor.clone() for part, named in parts.items() for name, tensor in named.items()}


# Channels ---------------------------------------------------------------------------------------------


@every_net
def test_a_pruned_net_computes_what_the_net_with_silent_channels_computes(
    net: str, graph_of: GraphOf, lively: Lively
) -> None:
    """In float64, so that a channel too many or too few cannot hide in rounding."""
    state, graph = lively(NETS[net]), graph_of(NETS[net])
    keep = halves(graph)
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    silent = instantiate(state, CPU).double()
    for group in graph.groups:
        for layer in group.norms:  # after the batch norm, for its shift alone would speak
            silence(silent.get_submodule(layer), keep[group.name])
    pruned = instantiate(remove_channels(keep, state, graph), CPU).double()
    with torch.inference_mode():
        wanted, got = silent(images), pruned(images)
        assert sum(p.numel() for p in pruned.parameters()) < sum(p.numel() for p in silent.parameters())
    assert wanted.std() > 1e-3
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def silence(module: nn.Module, keep: Tensor) -> None:
    module.register_forward_hook(lambda _module, _inputs, output: output * keep.view(1, -1, 1, 1))


@every_net
def test_the_engines_own_check_accepts_right_removals_and_rejects_wrong_ones(
    net: str, graph_of: GraphOf, lively: Lively
) -> None:
    state, graph = lively(NETS[net]), graph_of(NETS[net])
    keep = halves(graph)
    after = remove_channels(keep, state, graph)
    images = torch.randn(4, 3, 16, 16)
    check_removal(keep, state, after, graph, images)
    other = {name: mask.flip(0) for name, mask in keep.items()}
    assert any(not torch.equal(other[name], keep[name]) for name in keep)
    with pytest.raises(TrialError, match="changes what the net computes"):
        check_removal(other, state, after, graph, images)


def test_silenced_channels_are_zero_in_every_producer_and_norm(graph_of: GraphOf, lively: Lively) -> None:
    state, graph = lively(SMALL), graph_of(SMALL)
    keep = {"layer1.0.conv1": torch.tensor([True, False, True, False])}
    silent = zero_channels(keep, state, graph).tensors
    assert silent["layer1.0.conv1.weight"][[1, 3]].abs().sum() == 0
    assert silent["layer1.0.bn1.weight"].count_nonzero() == silent["layer1.0.bn1.bias"].count_nonzero() == 2
    assert torch.equal(silent["layer1.0.conv1.weight"][[0, 2]], state.tensors["layer1.0.conv1.weight"][[0, 2]])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("net", ["resnet20 A", "resnet20 B", "vgg16"])
def test_momentum_and_masks_are_cut_by_the_same_indices_as_the_weights(
    net: str, optimizer: str, graph_of: GraphOf, lively: Lively
) -> None:
    """Each buffer and mask is made a function of its weight: it must still be that function afterwards."""
    state, graph = lively(NETS[net], optimizer), graph_of(NETS[net])
    marked = State(
        state.architecture,
        state.tensors,
        {n.removesuffix(".weight"): t > 0 for n, t in state.tensors.items() if n.endswith(".weight") and t.dim() > 1},
        {
            key: 3 * state.tensors[key.partition("/")[2]] if buffer.dim() else buffer
            for key, buffer in state.momentum.items()
        },
    )
    after = remove_channels(halves(graph), marked, graph)
    assert any(after.tensors[name].shape != tensor.shape for name, tensor in state.tensors.items())
    assert list(after.momentum) == list(state.momentum)
    for key, buffer in after.momentum.items():
        expected = 3 * after.tensors[key.partition("/")[2]] if buffer.dim() else torch.tensor(7.0)
        assert torch.equal(buffer, expected), key
    for name, mask in after.masks.items():
        assert torch.equal(mask, after.tensors[f"{name}.weight"] > 0), name


def test_removal_in_two_steps_is_removal_in_one(graph_of: GraphOf, lively: Lively, same: Callable[..., bool]) -> None:
    state, graph = lively(SMALL), graph_of(SMALL)
    name = "layer1.0.conv1"
    once = remove_channels({name: torch.tensor([True, False, False, True])}, state, graph)
    first = remove_channels({name: torch.tensor([True, False, True, True])}, state, graph)
    twice = remove_channels({name: torch.tensor([True, False, True])}, first, graph)
    assert same(contents(once), contents(twice))


def test_keeping_all_channels_changes_nothing(graph_of: GraphOf, lively: Lively, same: Callable[..., bool]) -> None:
    state, graph = lively(SMALL), graph_of(SMALL)
    keep = {group.name: torch.ones(group.width, dtype=torch.bool) for group in graph.groups}
    assert same(contents(remove_channels(keep, state, graph)), contents(state))


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        ({"layer1.0.conv1": torch.zeros(4, dtype=torch.bool)}, "layer1.0.conv1 would lose all its 4 channels"),
        ({"layer9.conv": torch.ones(4, dtype=torch.bool)}, "no channels are called layer9.conv"),
        ({"linear": torch.ones(10, dtype=torch.bool)}, "no channels are called linear, or they cannot be removed"),
        ({"layer1.0.conv1": torch.ones(5, dtype=torch.bool)}, r"layer1.0.conv1 has 4 channels; got \(5,\)"),
        ({"layer1.0.conv1": torch.ones(4)}, "layer1.0.conv1 has 4 channels; got .* of torch.float32"),
    ],
    ids=["empties a layer", "unknown group", "classes", "wrong width", "not bool"],
)
def test_impossible_channels_are_refused(
    keep: Mapping[str, Tensor], reason: str, graph_of: GraphOf, lively: Lively
) -> None:
    with pytest.raises(TrialError, match=reason):
        apply(Channels(keep), lively(SMALL), graph_of(SMALL))


def test_channels_across_a_zero_padded_shortcut_are_refused(graph_of: GraphOf, lively: Lively) -> None:
    keep = {"layer1.0.conv2": torch.tensor([True] * 7 + [False])}
    with pytest.raises(TrialError, match=r"no channels are called layer1\.0\.conv2, or they cannot be removed"):
        apply(Channels(keep), lively(NETS["resnet20 A"]), graph_of(NETS["resnet20 A"]))


# Masks ------------------------------------------------------------------------------------------------


def checkerboard(shape: torch.Size) -> Tensor:
    return (torch.arange(shape.numel()) % 2 == 0).view(shape)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_masked_weights_and_their_momentum_are_zero_and_all_others_are_untouched(
    optimizer: str, lively: Lively
) -> None:
    state = lively(SMALL, optimizer)
    name = "layer2.1.conv1"
    mask = checkerboard(state.tensors[f"{name}.weight"].shape)
    after = apply_masks({name: mask}, state)
    assert list(after.masks) == [name]
    changed = {
        key for key, tensor in contents(after).items() if not torch.equal(tensor, contents(state).get(key, mask))
    }
    buffers = ["momentum_buffer"] if optimizer == "sgd" else ["exp_avg", "exp_avg_sq"]
    assert changed == {f"tensor/{name}.weight", *(f"momentum/{buffer}/{name}.weight" for buffer in buffers)}
    for tensor in (after.tensors[f"{name}.weight"], *(after.momentum[f"{b}/{name}.weight"] for b in buffers)):
        assert tensor[~mask].count_nonzero() == 0
        assert tensor[mask].count_nonzero() == mask.sum()


def test_later_masks_narrow_earlier_ones_and_leave_other_layers_masked(lively: Lively) -> None:
    first = apply_masks({"linear": checkerboard(torch.Size([10, 16]))}, lively(SMALL))
    second = apply_masks({"conv1": checkerboard(torch.Size([4, 1, 3, 3]))}, first)
    assert sorted(second.masks) == ["conv1", "linear"]
    assert second.tensors["linear.weight"].count_nonzero() == 80


def test_a_mask_cannot_bring_back_weights(lively: Lively) -> None:
    keep = checkerboard(torch.Size([10, 16]))
    masked = apply_masks({"linear": keep}, lively(SMALL))
    back = keep.clone()
    back[0, 1] = True
    with pytest.raises(TrialError, match="the mask of linear brings back weights that an earlier step pruned"):
        apply_masks({"linear": back}, masked)


@pytest.mark.parametrize(
    "keep",
    [
        {"linear": torch.ones(10, 15, dtype=torch.bool)},
        {"linear": torch.ones(10, 16)},
        {"nowhere": torch.ones(10, 16, dtype=torch.bool)},
    ],
    ids=["wrong shape", "not bool", "unknown layer"],
)
def test_masks_that_do_not_fit_are_refused(keep: Mapping[str, Tensor], lively: Lively, graph_of: GraphOf) -> None:
    with pytest.raises(TrialError, match=f"the mask of {next(iter(keep))} does not fit"):
        apply(Masks(keep), lively(SMALL), graph_of(SMALL))


# Both -------------------------------------------------------------------------------------------------


def test_states_are_never_mutated(graph_of: GraphOf, lively: Lively, same: Callable[..., bool]) -> None:
    graph = graph_of(SMALL)
    linear = checkerboard(torch.Size([10, 16]))
    state = apply_masks({"linear": linear}, lively(SMALL))
    before = contents(state)
    keep = halves(graph)
    narrow = apply(Channels(keep), state, graph)
    apply(Masks({"conv1": torch.zeros(4, 1, 3, 3, dtype=torch.bool), "linear": linear & linear.flip(0)}), state, graph)
    zero_channels(keep, state, graph)
    check_removal(keep, state, narrow, graph, torch.randn(2, 1, 8, 8))
    instantiate(narrow, CPU).linear.weight.data.fill_(0)
    assert same(before, contents(state))


def test_masks_survive_the_removal_of_channels(graph_of: GraphOf, lively: Lively) -> None:
    graph = graph_of(SMALL)
    masked = apply_masks({"layer1.0.conv1": checkerboard(torch.Size([4, 4, 3, 3]))}, lively(SMALL))
    narrow = remove_channels({"layer1.0.conv1": torch.tensor([True, False, False, True])}, masked, graph)
    mask = narrow.masks["layer1.0.conv1"]
    assert mask.shape == (2, 4, 3, 3)
    assert narrow.tensors["layer1.0.conv1.weight"][~mask].count_nonzero() == 0
    again = apply_masks({"layer1.0.conv1": mask & mask.flip(3)}, narrow)
    assert again.tensors["layer1.0.conv1.weight"].shape == (2, 4, 3, 3)
