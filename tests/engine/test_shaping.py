"""Schedules and methods that train: what goes back, what is repeated, what a method may do to a training."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunetui import events
from prunetui.api import Group, Net, Training, exchanged
from prunetui.api.budget import Costs
from prunetui.api.constraints import Constraints
from prunetui.api.groups import Slice, one_each
from prunetui.config import Recipe, parse_study
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.edits import apply_masks
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.run import Engine
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, Shape, Teacher, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.engine.verify_edit import achieved
from prunetui.errors import Interrupted, TrialError
from prunetui.plan import Rewind, Train, Trial, build_plan
from prunetui.plugins import method_catalogue
from prunetui.steps.train import check_shaped
from prunetui.store import Cache
from prunetui.store.partial_files import PartialFiles
from prunetui.tasks.classification import Classification

SMALL = Architecture("vgg11", 1, 8, 10, width=4)
CPU = torch.device("cpu")
STUDY = """
sparsities = [0.6]
[data]
limit = 200
[model]
name = "vgg11"
width = 4
[train]
epochs = 3
batch_size = 32
[finetune]
epochs = 2
batch_size = 32
lr = 0.05
[measure]
recalibrate = 32
calibrate = 32
"""
TASK = Classification()
GraphOf = Callable[[Architecture], Graph]
Lively = Callable[..., State]
Same = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], bool]


def never() -> bool:
    return False


class Bench:
    """A study that can be executed state by state."""

    def __init__(self, folder: Path, data: Dataset, graph: Graph, device: Device) -> None:
        self.folder, self.data, self.graph, self.device = folder, data, graph, device
        self.told: list[events.Event] = []

    def engine(self, table: str, *overrides: str, stop: Callable[[], bool] = never, folder: str = "states") -> Engine:
        study = parse_study(table + STUDY, overrides)
        graph = self.graph.restricted(study.layers)
        kept, partials = Cache(self.folder / folder), PartialFiles(self.folder / f"{folder}-partial")
        plan = build_plan(study, {}, graph.units())
        return Engine(study, plan, self.data, TASK, SMALL, graph, self.device, kept, partials, self.told.append, stop)

    def rates(self, key: str) -> list[float]:
        """The learning rate of the last batch of every epoch of a training."""
        told = [e for e in self.told if isinstance(e, events.Progress) and e.key == key]
        return list({event.epoch: event.lr for event in told}.values())


@pytest.fixture
def bench(tmp_path: Path, digits: Dataset, graph_of: GraphOf, cpu: Device) -> Bench:
    return Bench(tmp_path, digits, graph_of(SMALL), cpu)


def only(engine: Engine) -> Trial:
    """The one trial that is no control."""
    (trial,) = (trial for trial in engine.plan.trials if trial.method != "dense")
    return trial


def keys(engine: Engine, key: str, kind: type) -> list[str]:
    """The steps of one kind on the way to a state."""
    return [node.key for node in engine.plan.path(key) if isinstance(node.step, kind)]


def method(name: str, **options: Any) -> str:
    words = [f"name = '{name}'", *(f"{key} = {value}" for key, value in options.items())]
    return f"methods = [{{ {', '.join(words)} }}]"


# Lottery tickets --------------------------------------------------------------------------------------


def test_a_dense_training_in_two_parts_is_to_the_last_bit_the_one_in_one_go(bench: Bench, same: Same) -> None:
    whole = bench.engine(method("snip"))
    split = bench.engine(method("snip", schedule="{ name = 'lottery-ticket', epoch = 2 }"))
    assert [len(keys(engine, only(engine).dense, Train)) for engine in (whole, split)] == [1, 2]
    assert same(whole.state(only(whole).dense).tensors, split.state(only(split).dense).tensors)
    rates = [bench.rates(key) for key in keys(split, only(split).dense, Train)]
    assert rates[0] + rates[1] == bench.rates(only(whole).dense)


TICKET = "{ name = 'lottery-ticket', epoch = 1, levels = [0.3, 0.6] }"


def test_what_survives_goes_back_to_the_weights_it_had_and_the_rest_to_zero(bench: Bench) -> None:
    engine = bench.engine(method("global-unstructured", schedule=TICKET))
    first, second = keys(engine, only(engine).after, Rewind)
    early = engine.state(keys(engine, only(engine).dense, Train)[0]).tensors  # after one epoch
    for key, sparsity in ((first, 0.3), (second, 0.6)):
        state = engine.state(key)
        assert achieved("sparsity", state, engine.graph) == pytest.approx(sparsity, abs=1e-3)
        assert state.momentum == {}
        for name, tensor in state.tensors.items():
            mask = state.masks.get(name.removesuffix(".weight"), torch.ones_like(tensor, dtype=torch.bool))
            assert torch.equal(tensor[mask], early[name][mask]), name
            assert tensor[~mask].count_nonzero() == 0
    assert engine.state(second).masks.keys() == engine.state(first).masks.keys() != set()
    trained = engine.state(only(engine).after)
    assert not torch.equal(trained.tensors["features.0.weight"], early["features.0.weight"])


def test_channels_that_survive_go_back_to_their_own_early_weights(bench: Bench) -> None:
    """Removed in two steps: the indices that are kept are those of the dense net, not of the step before."""
    engine = bench.engine(method("l1-structured", schedule=TICKET, target="'channels'"))
    state = engine.state(keys(engine, only(engine).after, Rewind)[-1])
    early = engine.state(keys(engine, only(engine).dense, Train)[0]).tensors
    read = {consumer: group.name for group in engine.graph.groups for consumer in group.consumers}
    assert len(engine.graph.groups) == 8
    for group in engine.graph.groups:
        kept = state.kept[group.name]
        assert len(kept) == int(0.4 * group.width + 1e-9)
        expected = early[f"{group.name}.weight"][kept]
        if group.name in read:
            expected = expected[:, state.kept[read[group.name]]]
        assert torch.equal(state.tensors[f"{group.name}.weight"], expected)
        for norm in group.norms:
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                assert torch.equal(state.tensors[f"{norm}.{tensor}"], early[f"{norm}.{tensor}"][kept])
    assert any(not torch.equal(kept, torch.arange(len(kept))) for kept in state.kept.values())


def test_a_ticket_sees_the_images_that_the_dense_network_saw(bench: Bench, same: Same) -> None:
    """Nothing is pruned at a level of 0: training again from early weights gives the dense network once more.

    Also after a training that a method has shaped, which is another one and not the beginning of this one.
    """
    for name, more in (("snip", {}), ("movement", {"epochs": 1})):
        engine = bench.engine(method(name, schedule="{ name = 'lottery-ticket', epoch = 1 }", sparsities=0.0, **more))
        again, dense = engine.state(only(engine).after), engine.state(only(engine).dense)
        assert len(keys(engine, only(engine).after, Rewind)) == 1
        # The optimiser starts afresh where the dense training went on, so weights differ; what was fed does not.
        retrained, continued = keys(engine, only(engine).after, Train)[-1], keys(engine, only(engine).dense, Train)[-1]
        assert engine.plan.random_stream(retrained) == engine.plan.random_stream(continued)
        assert not same(again.tensors, dense.tensors)


def test_learning_rate_rewinding_repeats_the_rates_of_the_end_and_keeps_the_weights(bench: Bench) -> None:
    engine = bench.engine(method("global-unstructured", schedule="{ name = 'lr-rewinding', epoch = 1 }"))
    trial = only(engine)
    engine.state(trial.after)
    dense, again = keys(engine, trial.after, Train)
    assert len(bench.rates(dense)) == 3
    assert bench.rates(again) == bench.rates(dense)[1:]
    before, after = engine.state(trial.before).tensors, engine.state(trial.dense).tensors
    kept = engine.state(trial.before).masks["features.4"]
    assert torch.equal(before["features.4.weight"][kept], after["features.4.weight"][kept])


def test_gradual_pruning_takes_the_epochs_and_the_rates_of_one_shot(bench: Bench) -> None:
    rates: list[list[float]] = []
    for schedule in ("'one-shot'", "{ name = 'gradual', steps = 2 }"):
        engine = bench.engine(method("global-unstructured", schedule=schedule))
        trial = only(engine)
        final = engine.state(trial.after)
        assert achieved("sparsity", final, engine.graph) == pytest.approx(0.6, abs=1e-3)
        rates.append([rate for key in keys(engine, trial.after, Train)[1:] for rate in bench.rates(key)])
    assert len(rates[0]) == 2
    assert rates[0] == rates[1]


# Masks that move --------------------------------------------------------------------------------------


def test_weights_are_exchanged_for_those_of_the_largest_gradient() -> None:
    mask = torch.tensor([[True, True, True, True], [False, False, False, False]])
    weight = torch.tensor([[0.9, 0.1, 0.8, 0.2], [0.0, 0.0, 0.0, 0.0]])
    gradient = torch.tensor([[9.0, 0.1, 9.0, 0.2], [3.0, 1.0, 2.0, 4.0]])
    moved = exchanged(mask, weight, gradient, share=0.5)
    assert moved.tolist() == [[True, False, True, False], [True, False, False, True]]
    assert mask.all(1).tolist() == [True, False]  # the one that was given stays as it was


def test_a_weight_that_is_dropped_may_come_back_at_once_if_its_gradient_is_the_largest() -> None:
    moved = exchanged(torch.tensor([True, True, False]), torch.tensor([0.9, 0.1, 0.0]), torch.tensor([9.0, 5, 1]), 0.5)
    assert moved.tolist() == [True, True, False]


@pytest.mark.parametrize(("share", "exchanges"), [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 2), (1.0, 2)])
def test_no_more_is_exchanged_than_there_is_room_for(share: float, exchanges: int) -> None:
    mask = torch.tensor([True, True, True, True, False, False])
    moved = exchanged(mask, torch.tensor([4.0, 3, 2, 1, 0, 0]), torch.tensor([0.0, 0, 0, 0, 1, 2]), share)
    assert int(moved.sum()) == 4
    assert int((moved & ~mask).sum()) == exchanges


def test_a_dense_layer_has_nothing_to_exchange() -> None:
    assert exchanged(torch.tensor([True, True]), torch.ones(2), torch.ones(2), 0.5).tolist() == [True, True]


class Spied:
    """A method's hook, and what it did: masks and gradients before, masks and weights after."""

    def __init__(self, hook: Callable[[Training], None]) -> None:
        self.hook = hook
        self.calls: list[dict[str, Any]] = []

    def __call__(self, training: Training) -> None:
        before, weights = dict(training.masks), training.parameters()
        gradients = {name: w.grad.clone() for name, w in weights.items() if w.grad is not None}
        self.hook(training)
        self.calls.append(
            {
                "batch": training.batch,
                "before": before,
                "after": dict(training.masks),
                "weights": {name: w.detach().clone() for name, w in weights.items()},
                "gradients": gradients,
            }
        )


def shape(hook: Callable[[Training], None], graph: Graph) -> Shape:
    return Shape(hook, Constraints(graph.weighted, graph.groups, Costs(graph.dense, graph.dense, graph.cost)))


def recipe(**changes: Any) -> Recipe:
    return Recipe(**{"epochs": 4, "batch_size": 32, "lr": 0.05, "precision": "fp32", **changes})


@pytest.mark.parametrize(("name", "options"), [("rigl", {"every": 4}), ("set", {})])
def test_masks_move_and_every_layer_keeps_as_many_weights(
    name: str, options: dict[str, Any], digits: Dataset, cpu: Device, lively: Lively, graph_of: GraphOf,
    net_of: Callable[..., Net],
) -> None:  # fmt: skip
    graph, dense = graph_of(SMALL), lively(SMALL)
    chosen: Any = method_catalogue.load(name)(**options)
    state = apply_masks(chosen.prune(net_of(dense, graph), 0.7).keep, dense)
    spy = Spied(chosen.during_training)
    model = instantiate(state, CPU)
    saved: dict[int, TrainState] = {}

    def save(epoch: int, state: TrainState) -> None:
        saved[epoch] = state

    job = TrainJob(recipe(weight_decay=0.0), "key", shape=shape(spy, graph))
    hooks = Hooks(lambda report: None, save, never)
    after = train(model, TASK, digits, job, TrainState(state.momentum, state.masks), cpu, hooks)

    moves = [call for call in spy.calls if any(call["after"][n] is not m for n, m in call["before"].items())]
    # Of the 5 batches of an epoch; rigl rests in the last quarter of 20, set moves after every epoch but the last.
    assert [call["batch"] for call in moves] == ([4, 8, 12] if name == "rigl" else [5, 10, 15])
    for call in moves:
        grown = 0
        for layer, mask in call["after"].items():
            before = call["before"][layer]
            assert int(mask.sum()) == int(before.sum())
            assert call["weights"][layer][mask & ~before].count_nonzero() == 0  # they start at zero
            grown += int((mask & ~before).sum())
        assert grown > 0
    for layer, mask in state.masks.items():
        assert int(after.masks[layer].sum()) == int(mask.sum())
        assert model.get_submodule(layer).weight[~after.masks[layer]].count_nonzero() == 0
        assert after.momentum[f"momentum_buffer/{layer}.weight"][~after.masks[layer]].count_nonzero() == 0
    if name == "rigl":  # batch 4 ends the first epoch: what grew then has made no step, for the exchange took its place
        (call,) = (call for call in moves if call["batch"] == 4)
        layer = "features.18"
        new = call["after"][layer] & ~call["before"][layer]
        assert int(new.sum()) > 0
        momentum = saved[1].momentum[f"momentum_buffer/{layer}.weight"]
        assert momentum[new].count_nonzero() == 0
        rivals = call["gradients"][layer].abs()[~call["after"][layer]]
        assert call["gradients"][layer].abs()[new].min() >= rivals.max()


def test_a_method_that_removes_more_while_training_is_refused() -> None:
    half, most = torch.tensor([True, False, True, False]), torch.tensor([True, False, False, False])
    other = torch.tensor([False, True, False, True])
    before = State(SMALL, {}, {"a": half, "b": half})
    check_shaped("greedy", before, {"a": other, "b": half})
    check_shaped("greedy", before, {"a": most, "b": ~most})  # from one layer to another
    for masks in ({"a": most, "b": half}, {"a": half}, {"a": ~most, "b": half}):
        with pytest.raises(TrialError, match="greedy changed the number of pruned weights while training: 4 before"):
            check_shaped("greedy", before, masks)


def replaces(self: object, training: Training) -> None:
    for name, mask in training.masks.items():
        training.masks[name] = mask & (torch.arange(mask.numel()).view(mask.shape) > 0)


def overwrites(self: object, training: Training) -> None:
    for mask in training.masks.values():
        mask.view(-1)[0] = False


@pytest.mark.parametrize("greedy", [replaces, overwrites])
def test_removing_more_is_noticed_however_it_is_done_and_whenever_training_goes_on(
    greedy: Callable[[object, Training], None], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_catalogue.load("rigl"), "during_training", greedy)
    started = bench.engine(method("rigl"))
    edited = started.state(only(started).edited)
    masks = {name: mask.clone() for name, mask in edited.masks.items()}
    with pytest.raises(TrialError, match="rigl changed the number of pruned weights while training"):
        started.state(only(started).after)
    assert all(torch.equal(edited.masks[name], mask) for name, mask in masks.items())  # it started from copies
    left = iter(range(8))  # batches: into the second epoch
    stopped = bench.engine(method("rigl"), stop=lambda: next(left, None) is None, folder="stopped")
    with pytest.raises(Interrupted):
        stopped.state(only(stopped).after)
    resumed = bench.engine(method("rigl"), folder="stopped")
    with pytest.raises(TrialError, match="rigl changed the number of pruned weights while training"):
        resumed.state(only(resumed).after)


def test_notes_that_a_method_writes_over_never_reach_the_state_they_came_from(
    digits: Dataset, cpu: Device, lively: Lively, graph_of: GraphOf
) -> None:
    notes = {"seen": torch.zeros(1)}

    def count(training: Training) -> None:
        training.memory["seen"] += 1

    job = TrainJob(recipe(epochs=1), "key", shape=shape(count, graph_of(SMALL)))
    hooks = Hooks(lambda report: None, lambda epoch, state: None, never)
    after = train(instantiate(lively(SMALL), CPU), TASK, digits, job, TrainState(memory=notes), cpu, hooks)
    assert (after.memory["seen"].item(), notes["seen"].item()) == (5, 0)


# Penalties and scores, by hand ------------------------------------------------------------------------


class Narrow(nn.Module):
    """Two linear layers without bias, of two inputs, two hidden units and one output."""

    def __init__(self, first: list[list[float]], second: list[list[float]]) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
        self.a.weight.data, self.b.weight.data = torch.tensor(first), torch.tensor(second)
        for layer in (self.a, self.b):
            layer.weight.grad = torch.zeros_like(layer.weight)


def in_training(model: nn.Module, **more: Any) -> Training:
    """A training of ``Narrow``, whose two hidden units may go."""
    group = Group("a", (Slice("a.weight", 0, one_each(2), "makes"), Slice("b.weight", 1, one_each(2), "reads")))
    costs = Costs({"a": 2}, {"a": 2}, lambda kind, widths: 3 * widths["a"])
    defaults: dict[str, Any] = {
        "constraints": Constraints(("a", "b"), (group,), costs), "masks": {}, "memory": {},
        "generator": torch.Generator(),
    }  # fmt: skip
    return Training(model=model, **{**defaults, **more})


def shaped_by(name: str, training: Training, *arguments: float, **options: Any) -> None:
    chosen: Any = method_catalogue.load(name)(**options)
    with torch.no_grad():
        chosen.during_training(training, *arguments)


def test_movement_hides_the_lowest_scores_and_scores_the_hidden_by_their_own_values() -> None:
    """After the first batch the scores of a are -1, 2, -1, 3. At 0.8 of the way half are hidden: 1 and 0.5.

    Then the hidden 1 earns 1 x 5, 4 in all, and comes back as it was in place of -2, whose score is 2 - 2 x 2.
    """
    model = Narrow([[1.0, -2.0], [0.5, 3.0]], [[1.0, 1.0]])
    training = in_training(model, total=100)

    def after(batch: int, gradient: list[list[float]]) -> list[Any]:
        training.batch, training.progress = batch, batch / 100
        model.a.weight.grad = torch.tensor(gradient)
        shaped_by("movement", training, 0.5)
        return [found.tolist() for found in (training.memory["a"], model.a.weight, model.a.weight.grad)]

    nothing = [[0.0, 0.0], [0.0, 0.0]]
    first = [[-1.0, 2.0], [-1.0, 3.0]]
    later = [[4.0, -2.0], [-1.0, 3.0]]
    assert after(0, [[1.0, 1.0], [2.0, -1.0]]) == [first, [[1.0, -2.0], [0.5, 3.0]], [[1.0, 1.0], [2.0, -1.0]]]
    assert after(80, nothing) == [first, [[0.0, -2.0], [0.0, 3.0]], nothing]
    assert training.masks["a"].tolist() == [[False, True], [False, True]]
    assert after(90, [[-5.0, -2.0], [0.0, 0.0]]) == [later, [[1.0, 0.0], [0.0, 3.0]], [[0.0, -2.0], [0.0, 0.0]]]
    assert after(99, nothing) == [later, [[1.0, -2.0], [0.5, 3.0]], nothing]  # the last: all comes back for the edit
    assert training.masks["a"].all()


def test_group_lasso_pulls_the_weakest_channel_hardest() -> None:
    """Squared norms 1 + 4 + 4 = 9 and 1 + 0 + 0 = 1: s is 0 and 1, so factors of 1 and 2^3 on 0.5 w."""
    model = Narrow([[1.0, 2.0], [1.0, 0.0]], [[2.0, 0.0]])
    training = in_training(model)
    shaped_by("group-lasso", training, strength=0.5, alpha=3.0)
    assert model.a.weight.grad is not None
    assert model.a.weight.grad.tolist() == [[0.5, 1.0], [4.0, 0.0]]
    assert model.b.weight.grad is not None
    assert model.b.weight.grad.tolist() == [[1.0, 0.0]]


def test_the_group_lasso_divides_by_the_norm_of_all_that_goes_with_a_channel() -> None:
    """Norms 3 and 5: w / 3 and w / 5, times 0.6."""
    model = Narrow([[1.0, 2.0], [3.0, 0.0]], [[2.0, 4.0]])
    training = in_training(model)
    shaped_by("group-lasso", training, penalty="lasso", strength=0.6)
    assert model.a.weight.grad is not None
    torch.testing.assert_close(model.a.weight.grad, torch.tensor([[0.2, 0.4], [0.36, 0.0]]))
    assert model.b.weight.grad is not None
    torch.testing.assert_close(model.b.weight.grad, torch.tensor([[0.4, 0.48]]))


def test_growing_regularization_presses_the_weaker_half_with_a_decay_that_grows() -> None:
    model = Narrow([[1.0, 2.0], [1.0, 0.0]], [[2.0, 0.0]])
    training = in_training(model)
    for progress, expected in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (0.75, 2.0)):
        training.progress = progress
        model.a.weight.grad = torch.zeros(2, 2)
        shaped_by("growing-reg", training, 0.5, limit=2.0, rise=0.5)
        assert training.memory["a"].tolist() == [True, False]
        assert model.a.weight.grad.tolist() == [[0.0, 0.0], [expected, 0.0]]
    assert model.b.weight.grad is not None
    assert model.b.weight.grad.tolist() == [[0.0, 0.0]]  # its consumers are left alone


def test_a_layers_decay_grows_in_steps_and_not_once_its_channels_are_pressed_hard_enough() -> None:
    """Norms 3 and 1 make a ratio of 3; with 3 and 0.001 the moving average is 0.9 x 3 + 0.1 x 3000 = 302.7."""
    model = Narrow([[1.0, 2.0], [1.0, 0.0]], [[2.0, 0.0]])
    training = in_training(model)
    decays = []
    for batch, progress, weak in ((0, 0.0, 1.0), (4, 0.2, 1.0), (5, 0.25, 1.0), (10, 0.5, 0.001), (15, 0.75, 0.001)):
        training.batch, training.progress = batch, progress
        model.a.weight.data[1, 0] = weak
        shaped_by("growing-reg", training, 0.5, rise=1.0, ratio=100.0)
        decays.append(float(training.memory["decay of a"]))
    assert decays == [0.0, 0.0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("scope", ["local", "global"])
def test_what_growing_regularization_pressed_is_removed_even_if_it_did_not_fade(
    scope: str, lively: Lively, graph_of: GraphOf, net_of: Callable[..., Net]
) -> None:
    graph, state = graph_of(SMALL), lively(SMALL)
    net = net_of(state, graph)
    notes: dict[str, Tensor] = {}
    training = in_training(net.model, constraints=net.constraints, memory=notes)
    shaped_by("growing-reg", training, 0.6, scope=scope)
    chosen: Any = method_catalogue.load("growing-reg")(scope=scope)
    reversed_order = {name: t.flip(0) if name.endswith("weight") else t for name, t in state.tensors.items()}
    later = dataclasses.replace(net_of(State(SMALL, reversed_order), graph), memory=notes)
    notes = {group.name: notes[group.name] for group in graph.groups}
    keep = chosen.prune(later, 0.6).keep
    assert {name: mask.tolist() for name, mask in keep.items()} == {n: mask.tolist() for n, mask in notes.items()}
    assert {name: mask.tolist() for name, mask in chosen.prune(net_of(state, graph), 0.6).keep.items()} == {
        name: mask.tolist() for name, mask in notes.items()
    }  # and without a training these are the weakest


def test_what_was_pressed_goes_first_where_layers_lose_unequal_shares(
    lively: Lively, graph_of: GraphOf, net_of: Callable[..., Net]
) -> None:
    """One layer keeps a single channel, the others all but one, and none stands in for another layer's."""
    graph = graph_of(SMALL)
    net = net_of(lively(SMALL), graph)
    notes = {group.name: torch.arange(group.width) > 0 for group in graph.groups}
    narrow = graph.groups[3]
    notes[narrow.name] = torch.arange(narrow.width) == 2
    left = graph.cost("sparsity", {name: int(mask.sum()) for name, mask in notes.items()})
    chosen: Any = method_catalogue.load("growing-reg")(scope="global")
    edit = chosen.prune(dataclasses.replace(net, memory=notes), 1 - left / graph.cost("sparsity", graph.dense))
    assert {name: mask.tolist() for name, mask in edit.keep.items()} == {n: mask.tolist() for n, mask in notes.items()}


def test_growing_regularization_removes_the_channels_it_chose_and_these_have_faded(bench: Bench) -> None:
    engine = bench.engine(method("growing-reg", epochs=3, every=1))
    trial = only(engine)
    shaped, plain = (keys(engine, end, Train)[1] for end in (trial.after, trial.control))
    pressed, free, after = engine.state(shaped), engine.state(plain), engine.state(trial.edited)
    for name in (group.name for group in engine.graph.groups):
        stays = pressed.memory[name]
        assert after.kept[name].tolist() == stays.nonzero().flatten().tolist()
        norm, other = (state.tensors[f"{name}.weight"].flatten(1).norm(dim=1) for state in (pressed, free))
        assert (norm[~stays] < 0.7 * other[~stays]).all()
    assert after.memory == {}


@pytest.mark.parametrize("name", ["fpgm", "l2-structured"])
def test_soft_pruning_sets_what_it_chooses_to_zero_at_starts_of_epochs_and_lets_it_come_back(name: str) -> None:
    model = Narrow([[1.0, 2.0], [1.0, 0.0]], [[2.0, 0.0]])
    training = in_training(model, batches=2)
    training.constraints = dataclasses.replace(training.constraints, target="channels")
    shown = {}
    for batch in (0, 1, 2):
        training.batch = batch
        model.a.weight.data = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
        shaped_by(name, training, 0.5)
        shown[batch] = model.a.weight.tolist()
    assert shown == {b: [[1.0, 2.0], [0.0 if b != 1 else 1.0, 0.0]] for b in (0, 1, 2)} or name == "fpgm"
    assert sum(any(row) for row in shown[0]) == sum(any(row) for row in shown[2]) == 1
    assert sum(any(row) for row in shown[1]) == 2
    assert training.masks == {}


def test_slimming_makes_scales_smaller_than_the_same_training_without(bench: Bench) -> None:
    engine = bench.engine(method("bn-scale", epochs=2, l1=0.1))
    trial = only(engine)
    shaped, plain = (keys(engine, end, Train)[1] for end in (trial.after, trial.control))
    norms = [norm for group in engine.graph.groups for norm in group.norms]
    slim, thick = (
        sum(float(engine.state(key).tensors[f"{norm}.weight"].abs().sum()) for norm in norms) for key in (shaped, plain)
    )
    assert slim < 0.95 * thick


def test_slimming_adds_the_sign_of_the_scales_to_their_gradients() -> None:
    norm = nn.BatchNorm2d(3)
    norm.weight.data, norm.weight.grad = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0])
    model = nn.Sequential(nn.Conv2d(1, 3, 1), norm)
    group = Group("0", (Slice("0.weight", 0, one_each(3), "makes"), Slice("1.weight", 0, one_each(3), "scales")))
    shaped_by("bn-scale", in_training(model, constraints=Constraints(("0",), (group,))), l1=0.5)
    assert norm.weight.grad.tolist() == [1.5, 0.5, 1.0]


# Distillation -----------------------------------------------------------------------------------------


def test_the_loss_of_a_student_by_hand() -> None:
    """At temperature 2: teacher (3/4, 1/4), student (1/2, 1/2); KL = 3/4 ln(3/2) + 1/4 ln(1/2) = 0.130812."""
    taught = torch.tensor([[2 * torch.tensor(3.0).log().item(), 0.0]])
    loss = TASK.imitation(torch.tensor(1.0), torch.zeros(1, 2), taught, weight=0.25, temperature=2.0)
    assert float(loss) == pytest.approx(0.75 + 0.25 * 4 * 0.130812, abs=1e-5)
    assert float(TASK.imitation(torch.tensor(1.0), torch.zeros(1, 2), taught, 0.0, 2.0)) == 1.0
    assert float(TASK.imitation(torch.tensor(1.0), taught, taught, 1.0, 2.0)) == pytest.approx(0, abs=1e-6)


def test_a_student_of_weight_zero_learns_as_if_nobody_taught_it_and_a_teacher_never_changes(
    digits: Dataset, cpu: Device, lively: Lively, same: Same
) -> None:
    state = lively(SMALL)
    teacher = instantiate(state, CPU)
    modes: set[bool] = set()
    teacher.register_forward_pre_hook(lambda module, inputs: modes.add(module.training))
    hooks = Hooks(lambda report: None, lambda epoch, state: None, never)
    found = []
    for weight, taught in ((0.0, None), (0.0, teacher), (0.9, teacher)):
        student = instantiate(state, CPU)
        job = TrainJob(recipe(epochs=1), "key", teacher=taught and Teacher(taught, weight, temperature=4.0))
        train(student, TASK, digits, job, TrainState(), cpu, hooks)
        found.append(student.state_dict())
    assert same(found[0], found[1])
    assert not same(found[0], found[2])
    assert same(teacher.state_dict(), state.tensors)
    assert modes == {False}
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_recovery_with_a_teacher_imitates_the_dense_network_of_the_same_seed(bench: Bench, same: Same) -> None:
    plain, taught = bench.engine(method("gradient")), bench.engine(method("gradient"), "finetune.distill=0.9")
    assert only(plain).before == only(taught).before
    ends = [engine.state(only(engine).after).tensors for engine in (plain, taught)]
    assert not same(sorted_by_name(ends[0]), sorted_by_name(ends[1]))
    assert keys(plain, only(plain).after, Train)[:1] == keys(taught, only(taught).after, Train)[:1]


# Interruptions ----------------------------------------------------------------------------------------

CARRIED = "{ name = 'iterative', steps = 2, epochs = 2 }"


@pytest.mark.parametrize(
    "table",
    [
        method("rigl", every=2),
        method("set"),
        method("srigl", every=2),
        method("granet"),
        method("acdc"),
        method("powerpropagation"),
        method("str"),
        method("sr-ste", sparsities=0.5),
        method("movement", epochs=2, schedule=CARRIED),
        method("group-lasso", epochs=2),
        method("growing-reg", epochs=2, schedule=CARRIED),
        method("l1-structured", schedule="{ name = 'lottery-ticket', steps = 2 }"),
    ],
    ids=[
        "rigl",
        "set",
        "srigl",
        "granet",
        "acdc",
        "powerpropagation",
        "str",
        "sr-ste",
        "movement",
        "group-lasso",
        "growing-reg",
        "lottery-ticket",
    ],
)
def test_a_training_that_is_interrupted_again_and_again_ends_as_one_that_was_not(
    table: str, bench: Bench, same: Same
) -> None:
    """Masks, notes and momentum too. An epoch has 5 batches; each attempt ends within one."""
    whole = bench.engine(table)
    trial = only(whole)
    whole.state(trial.after)
    path = [node.key for node in whole.plan.path(trial.after)]
    bench.told.clear()
    interruptions = 0
    for _ in range(60):
        left = iter(range(len(path) + 3))  # asked once before each step that is missing, too
        engine = bench.engine(table, stop=lambda left=left: next(left, None) is None, folder="stopped")
        try:
            engine.state(trial.after)
            break
        except Interrupted:
            interruptions += 1
    assert 2 <= interruptions < 60
    epochs = Counter((e.key, e.epoch) for e in bench.told if isinstance(e, events.EpochFinished))
    assert max(epochs.values()) == 1
    for key in path:
        one, other = (bench.engine(table, folder=folder).state(key) for folder in ("states", "stopped"))
        for kind in ("tensors", "masks", "momentum", "memory", "kept"):
            assert same(sorted_by_name(getattr(one, kind)), sorted_by_name(getattr(other, kind))), kind
    states = [whole.state(key) for key in path]
    assert any(state.memory or state.masks or state.kept for state in states)


def sorted_by_name(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state that was computed has its tensors in the order of the net, one that was read in that of the file."""
    return dict(sorted(tensors.items()))
