"""Which layers a study leaves as they are, and how much every layer keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import prune as torch_prune

from prunetui.api import Net
from prunetui.config import LayersTable, parse_study, study_toml
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.engine.step_context import StepContext
from prunetui.engine.verify_edit import achieved
from prunetui.errors import TrialError, UsageError
from prunetui.execute.execution import execute
from prunetui.plan import Prune
from prunetui.plugins import method_catalogue
from prunetui.store import Status, create_run

SMALL = Architecture("resnet20", 1, 8, 10, "B", width=8)
FIRST, LAST = "conv1", "linear"
STREAM = "conv1"
"""The group of the first stage's residual stream: the first layer and the second ones of its blocks."""
GraphOf = Callable[[Architecture], Graph]
Lively = Callable[..., State]
Pruned = Callable[..., State]
ContextOf = Callable[..., StepContext]


@pytest.fixture
def pruned(context: ContextOf, lively: Lively, graph_of: GraphOf) -> Pruned:
    """The state after a method's edit under the rules of a study."""

    def edited(name: str, value: float, target: str = "sparsity", rules: dict[str, Any] | None = None) -> State:
        layers = LayersTable(**(rules or {}))
        graph = graph_of(SMALL).restricted(layers)
        step = Prune(name, {}, "", target, value, 1.0, images=32, rules=layers.model_dump())
        return step.apply(context(graph), lively(SMALL))

    return edited


def shares(state: State) -> dict[str, float]:
    """The fraction of its weights that each masked layer keeps."""
    return {name: float(mask.float().mean()) for name, mask in state.masks.items()}


# First and last ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, {FIRST, LAST}),
        ({"first": "prune"}, {LAST}),
        ({"last": "prune"}, {FIRST}),
        ({"first": "prune", "last": "prune"}, set()),
        ({"first": "prune", "last": "prune", "exclude": ["layer2.*", "linear"]}, {"layer2", LAST}),
    ],
)
def test_the_first_and_the_last_layer_stay_dense_unless_they_are_to_be_pruned(
    rules: dict[str, Any], kept: set[str], pruned: Pruned, graph_of: GraphOf
) -> None:
    state = pruned("global-unstructured", 0.8, rules=rules)
    weighted = set(graph_of(SMALL).weighted)
    dense = {name for name in weighted if name in kept or name.partition(".")[0] in kept}
    assert state.masks.keys() == weighted - dense
    assert len(weighted) == 22


def test_the_rules_count_only_what_may_go(pruned: Pruned, graph_of: GraphOf, lively: Lively) -> None:
    """80 % of the prunable weights, to the weight; the sparsity of a row says the same."""
    for rules in ({}, {"first": "prune", "last": "prune"}, {"exclude": ["layer3.*"]}):
        state = pruned("global-unstructured", 0.8, rules=rules)
        graph = graph_of(SMALL).restricted(LayersTable(**rules))
        prunable = sum(mask.numel() for mask in state.masks.values())
        gone = sum(int((~mask).sum()) for mask in state.masks.values())
        assert gone == round(0.8 * prunable)
        assert achieved("sparsity", state, graph) == pytest.approx(gone / prunable, abs=1e-12)
        assert graph.cost("sparsity", graph.dense) == prunable
    everything = sum(t.numel() for name, t in lively(SMALL).tensors.items() if name.endswith("weight") and t.dim() > 1)
    assert graph_of(SMALL).cost("sparsity", graph_of(SMALL).dense) == everything


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_with_both_ends_pruned_global_pruning_is_that_of_torch_over_all_layers(
    sparsity: float, pruned: Pruned, lively: Lively
) -> None:
    state = pruned("global-unstructured", sparsity, rules={"first": "prune", "last": "prune"})
    model = instantiate(lively(SMALL), torch.device("cpu")).to(memory_format=torch.contiguous_format)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)}
    weights = [(layer, "weight") for layer in layers.values()]
    torch_prune.global_unstructured(weights, torch_prune.L1Unstructured, amount=sparsity)
    assert state.masks.keys() == layers.keys()
    for name, layer in layers.items():
        assert torch.equal(state.masks[name], layer.weight_mask.bool())


def test_channels_of_the_first_layer_go_with_their_stream_unless_it_is_excluded(pruned: Pruned) -> None:
    free = pruned("l1-structured", 0.5, "channels")
    assert free.tensors["conv1.weight"].shape == (4, 1, 3, 3)
    assert free.tensors["linear.weight"].shape == (10, 16)  # its outputs are the classes
    held = pruned("l1-structured", 0.5, "channels", {"exclude": ["conv1"]})
    for layer in ("conv1", "layer1.0.conv2", "layer1.2.conv2"):  # coupled by the shortcuts
        assert held.tensors[f"{layer}.weight"].shape[0] == 8
    assert held.tensors["layer1.0.conv1.weight"].shape[0] == 4
    assert held.tensors["layer2.0.conv2.weight"].shape[0] == 8


def test_a_pattern_keeps_the_layers_it_fits_and_whatever_is_coupled_to_them(pruned: Pruned) -> None:
    state = pruned("l1-structured", 0.5, "channels", {"exclude": ["layer2.1.conv2", "*.0.conv1"]})
    widths = {name.removesuffix(".weight"): len(t) for name, t in state.tensors.items() if t.dim() == 4}
    assert {widths[f"layer2.{block}.conv2"] for block in (0, 1, 2)} == {16}
    assert widths["layer2.0.shortcut.0"] == 16
    assert [widths[f"layer{stage}.0.conv1"] for stage in (1, 2, 3)] == [8, 16, 32]
    assert [widths[f"layer{stage}.1.conv1"] for stage in (1, 2, 3)] == [4, 8, 16]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('exclude = ["layer9.*"]', 'no layer fits "layer9.*"; there are: conv1, layer1.0.conv1'),
        ('exclude = ["conv"]', 'no layer fits "conv"'),
        ('exclude = ["bn1"]', 'no layer fits "bn1"'),
        ('exclude = ["layer*"]', "keep every layer: nothing is left to prune"),
    ],
)
def test_rules_that_fit_nothing_or_leave_nothing_are_refused_before_training(
    rules: str, said: str, tmp_path: Path
) -> None:
    study = parse_study(f"model.width = 4\ndata.limit = 100\nmethods = ['snip']\n[layers]\n{rules}\n")
    run = create_run(tmp_path, study_toml(study), Status(state="queued", name="study"))
    with pytest.raises(UsageError) as caught:
        execute(run, "cpu", lambda: False, executor="inline")
    assert said in str(caught.value)
    assert run.rows() == []


# The floor --------------------------------------------------------------------------------------------

GLOBAL = ["global-unstructured", "snip", "lamp", "erk", "rigl", "synflow", "taylor"]


@pytest.mark.parametrize("name", GLOBAL)
def test_every_layer_keeps_its_floor_of_weights(name: str, pruned: Pruned) -> None:
    state = pruned(name, 0.85, rules={"floor": 0.1})
    assert min(shares(state).values()) >= 0.1
    assert sum(int(m.sum()) for m in state.masks.values()) == pytest.approx(
        0.15 * sum(m.numel() for m in state.masks.values()), abs=1
    )


def test_without_the_floor_a_layer_would_fall_below_it(pruned: Pruned) -> None:
    assert min(shares(pruned("snip", 0.85)).values()) < 0.1


def test_the_floor_of_a_threshold_is_its_highest_weights(pruned: Pruned, lively: Lively) -> None:
    state = pruned("threshold", 10.0, "threshold", {"floor": 0.25})
    weight = lively(SMALL).tensors["layer1.0.conv1.weight"].abs()
    kept = state.masks["layer1.0.conv1"]
    assert int(kept.sum()) == 144  # of 8 x 8 x 9
    assert weight[kept].min() >= weight[~kept].max()


@pytest.mark.parametrize(("target", "value"), [("sparsity", 0.6), ("params", 0.6), ("macs", 0.6), ("channels", 0.7)])
@pytest.mark.parametrize("name", ["l1-structured", "bn-scale"])
def test_every_layer_keeps_its_floor_of_channels(
    name: str, target: str, value: float, pruned: Pruned, graph_of: GraphOf
) -> None:
    state = pruned(name, value, target, {"floor": 0.3})
    widths, dense = graph_of(SMALL).widths(state.tensors), graph_of(SMALL).dense
    assert all(widths[group] >= 0.3 * dense[group] for group in dense)
    assert min(widths[group] / dense[group] for group in dense) < 0.75


@pytest.mark.parametrize(
    ("name", "target", "value", "said"),
    [
        ("global-unstructured", "sparsity", 0.9, r"90\.00% of the weights: 79\.\d\d% may go before every"),
        ("l1-unstructured", "sparsity", 0.9, r"90\.00% of the weights: 79\.\d\d% may go before every"),
        ("l1-structured", "sparsity", 0.99, r"cannot remove 99\.00% of the weights: the nearest is 9\d\.\d\d%"),
        ("l1-structured", "macs", 0.99, r"cannot remove 99\.00% of the macs: the nearest is"),
        (
            "l1-structured",
            "channels",
            0.9,
            r"cannot remove 90\.00% of the channels: 80\.00% may go before every layer is at its floor",
        ),
    ],
)
def test_a_target_below_the_floor_is_refused(name: str, target: str, value: float, said: str, pruned: Pruned) -> None:
    with pytest.raises(TrialError, match=said):
        pruned(name, value, target, {"floor": 0.2})


def test_a_method_that_does_not_heed_the_floor_is_told(pruned: Pruned, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrialError, match=r"nm keeps 288 of 576 weights of layer1\.0\.conv1, less than the floor"):
        pruned("nm", 0.5, "pattern", {"floor": 0.6})
    chosen: Any = method_catalogue.load("global-unstructured")

    def heedless(self: object, net: Net, sparsity: float) -> Any:
        from prunetui.api import Masks, keep_top

        return Masks(keep_top({n: w.abs() for n, w in net.weights().items()}, sparsity, "global"))

    monkeypatch.setattr(chosen, "prune", heedless)
    with pytest.raises(TrialError, match=r"global-unstructured keeps \d+ of \d+ weights of .*, less than the floor"):
        pruned("global-unstructured", 0.4, rules={"floor": 0.59})


# Patterns ---------------------------------------------------------------------------------------------


def test_of_every_four_inputs_the_two_largest_stay(pruned: Pruned, lively: Lively) -> None:
    state = pruned("nm", 0.5, "pattern")
    mask, weight = state.masks["layer2.1.conv1"], lively(SMALL).tensors["layer2.1.conv1.weight"].abs()
    for block in range(4):
        inputs = slice(4 * block, 4 * block + 4)
        assert (mask[:, inputs].sum(1) == 2).all()
        assert (weight[:, inputs].masked_fill(~mask[:, inputs], 9).amin(1) >= (weight * ~mask)[:, inputs].amax(1)).all()


def test_a_pattern_of_thirds_is_reached_though_a_third_has_no_end(
    context: ContextOf, lively: Lively, graph_of: GraphOf
) -> None:
    architecture = Architecture("vgg11", 1, 8, 10, width=6)
    graph = graph_of(architecture).restricted(LayersTable())
    options = {"n": 1, "m": 3}
    step = Prune("nm", options, "", "pattern", round(1 - 1 / 3, 10), 1.0, images=8, rules=LayersTable().model_dump())
    state = step.apply(context(graph), lively(architecture))
    assert {round(share, 6) for share in shares(state).values()} == {0.333333}
