"""Training is repeatable to the last bit, can be interrupted at any epoch, and never revives a pruned weight."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunetui.config import Recipe
from prunetui.engine.cuda_graph import Repeated
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device, find_device, prepare
from prunetui.engine.edits import apply_masks
from prunetui.engine.learning_rate import learning_rate
from prunetui.engine.models import Architecture
from prunetui.engine.randomness import epoch_seed
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, TrainJob, TrainProgress, TrainState
from prunetui.engine.training_loop import train as train_job
from prunetui.errors import Interrupted, TrialError
from prunetui.tasks.classification import Classification

SMALL = Architecture("resnet20", 1, 8, 10, width=4)
CPU = torch.device("cpu")
Lively = Callable[..., State]
Same = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], bool]


def recipe(**changes: Any) -> Recipe:
    settings = {"epochs": 2, "batch_size": 32, "lr": 0.05, "precision": "fp32", **changes}
    return Recipe(**settings)


def never() -> bool:
    return False


class Diary:
    """Hooks that write down what they are told."""

    def __init__(self, should_stop: Callable[[], bool] = never) -> None:
        self.reports: list[TrainProgress] = []
        self.saved: list[int] = []
        self.hooks = Hooks(self.reports.append, lambda epoch, buffers: self.saved.append(epoch), should_stop)


def train(
    model: Any,
    data: Dataset,
    settings: Recipe,
    key: str,
    device: Device,
    hooks: Hooks,
    masks: Mapping[str, Tensor] | None = None,
    momentum: Mapping[str, Tensor] | None = None,
    first: int = 0,
) -> Mapping[str, Tensor]:
    """The optimiser's buffers after a whole recipe, from its epoch ``first`` on."""
    start = TrainState(momentum or {}, masks or {})
    return train_job(model, Classification(), data, TrainJob(settings, key, first), start, device, hooks).momentum


def trained(
    state: State, data: Dataset, device: Device, settings: Recipe, key: str = "key", **more: Any
) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
    """Tensors and optimiser buffers after training."""
    model = instantiate(state, CPU)
    hooks = more.pop("hooks", Diary().hooks)
    buffers = train(model, data, settings, key, device, hooks, **more)
    return model.state_dict(), buffers


# Learning rate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 0.99, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("step", 0.0, 1.0),
        ("step", 0.49, 1.0),
        ("step", 0.5, 0.1),
        ("step", 0.74, 0.1),
        ("step", 0.75, 0.01),
        ("one-cycle", 0.0, 0.04),
        ("one-cycle", 0.15, 0.52),
        ("one-cycle", 0.3, 1.0),
        ("one-cycle", 0.65, 0.5),
        ("one-cycle", 1.0, 0.0),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule: str, progress: float, factor: float) -> None:
    assert learning_rate(schedule, progress) == pytest.approx(factor, abs=1e-12)


def test_every_batch_has_its_own_learning_rate_and_the_schedule_spans_all_epochs(
    digits: Dataset, cpu: Device, lively: Lively
) -> None:
    diary = Diary()
    trained(lively(SMALL), digits, cpu, recipe(epochs=4, lr=0.1, schedule="cosine"), hooks=diary.hooks)
    last = [report.lr for report in diary.reports if report.epoch_finished]  # 5 batches of 32 in 180 images
    assert last == pytest.approx([0.05 * (1 + math.cos(math.pi * batch / 20)) for batch in (4, 9, 14, 19)])


# Repeatability ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_key_gives_the_same_weights_to_the_last_bit(
    optimizer: str, precision: str, digits: Dataset, cpu: Device, lively: Lively, same: Same
) -> None:
    settings = recipe(optimizer=optimizer, precision=precision, lr=0.01)
    torch.manual_seed(1)
    first = trained(lively(SMALL), digits, cpu, settings)
    torch.manual_seed(2)  # the default generator has no part in it
    second = trained(lively(SMALL), digits, cpu, settings)
    assert same(first[0], second[0])
    assert same(first[1], second[1])


def test_another_key_gives_other_weights(digits: Dataset, cpu: Device, lively: Lively, same: Same) -> None:
    first, _ = trained(lively(SMALL), digits, cpu, recipe(), key="a")
    second, _ = trained(lively(SMALL), digits, cpu, recipe(), key="b")
    assert not same(first, second)


def test_every_epoch_of_every_training_has_a_seed_of_its_own() -> None:
    seeds = [epoch_seed(key, epoch) for key in ("a", "b", "a:1") for epoch in (0, 1, 2, 11)]
    assert len(set(seeds)) == len(seeds)
    assert epoch_seed("a", 0) == epoch_seed("a", 0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("interrupted_after", [1, 2])
def test_training_that_goes_on_from_a_saved_epoch_equals_one_that_was_never_interrupted(
    optimizer: str, precision: str, interrupted_after: int, digits: Dataset, cpu: Device, lively: Lively, same: Same
) -> None:
    whole, resumed = whole_and_resumed(lively(SMALL), digits, cpu, optimizer, precision, interrupted_after)
    assert same(resumed[0], whole[0])
    assert same(resumed[1], whole[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training_on_the_gpu_goes_on_from_what_was_saved_on_the_cpu(
    optimizer: str, digits: Dataset, lively: Lively
) -> None:
    device = find_device("cuda")
    prepare(device)
    whole, resumed = whole_and_resumed(lively(SMALL), digits.to(device.torch), device, optimizer, "fp32", 2)
    for name, tensor in whole[0].items():
        torch.testing.assert_close(resumed[0][name], tensor, rtol=1e-4, atol=1e-5)


def whole_and_resumed(
    state: State, data: Dataset, device: Device, optimizer: str, precision: str, interrupted_after: int
) -> tuple[tuple[Mapping[str, Tensor], Mapping[str, Tensor]], tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
    """Tensors and buffers of one training, and of one that goes on with what was saved (on the CPU) by the first."""
    settings = recipe(epochs=3, optimizer=optimizer, precision=precision, schedule="one-cycle")
    model = instantiate(state, device.torch)
    snapshots: dict[int, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    def save(epoch: int, state: TrainState) -> None:
        as_on_disk = [
            {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
            for tensors in (model.state_dict(), state.momentum)
        ]
        snapshots[epoch] = (as_on_disk[0], as_on_disk[1])

    buffers = train(model, data, settings, "key", device, Hooks(lambda report: None, save, never))
    tensors, momentum = snapshots[interrupted_after]
    again = instantiate(dataclasses.replace(state, tensors=tensors), device.torch)
    resumed = train(again, data, settings, "key", device, Diary().hooks, {}, momentum, interrupted_after)
    return (model.state_dict(), buffers), (again.state_dict(), resumed)


def test_momentum_that_is_handed_over_is_used(digits: Dataset, cpu: Device, lively: Lively, same: Same) -> None:
    state = lively(SMALL)
    without, _ = trained(state, digits, cpu, recipe(epochs=1))
    with_it, _ = trained(state, digits, cpu, recipe(epochs=1), momentum=state.momentum)
    assert not same(without, with_it)


# What it tells ----------------------------------------------------------------------------------------


def test_it_reports_every_finished_epoch_and_saves_after_all_but_the_last(
    digits: Dataset, cpu: Device, lively: Lively
) -> None:
    diary = Diary()
    trained(lively(SMALL), digits, cpu, recipe(epochs=3), hooks=diary.hooks)
    finished = [report for report in diary.reports if report.epoch_finished]
    assert [(report.epoch, report.done, report.total) for report in finished] == [
        (1, 180, 540), (2, 360, 540), (3, 540, 540),
    ]  # fmt: skip
    assert diary.saved == [1, 2]
    assert all(0 <= report.metric <= 100 and report.loss > 0 for report in finished)


def test_it_learns(digits: Dataset, cpu: Device, lively: Lively) -> None:
    diary = Diary()
    trained(lively(SMALL), digits, cpu, recipe(epochs=8, batch_size=16), hooks=diary.hooks)
    finished = [report for report in diary.reports if report.epoch_finished]
    assert finished[-1].loss < finished[0].loss - 0.5
    assert finished[-1].metric > finished[0].metric + 20


def test_the_net_is_left_in_evaluation_mode(digits: Dataset, cpu: Device, lively: Lively) -> None:
    model = instantiate(lively(SMALL), CPU)
    train(model, digits, recipe(epochs=1), "key", cpu, Diary().hooks)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing_spreads_its_share_of_the_target_over_all_classes(
    smoothing: float, digits: Dataset, cpu: Device, lively: Lively
) -> None:
    """One batch of all images: its loss is that of the untrained net, worked out here."""
    state, diary = lively(SMALL), Diary()
    trained(state, digits, cpu, recipe(epochs=1, batch_size=180, label_smoothing=smoothing), hooks=diary.hooks)
    inputs, labels = next(digits.epoch(180, torch.Generator().manual_seed(epoch_seed("key", 0))))
    with torch.no_grad():
        logs = instantiate(state, CPU).train()(inputs).log_softmax(1)
    expected = (1 - smoothing) * -logs[torch.arange(180), labels].mean() + smoothing * -logs.mean()
    assert [report.loss for report in diary.reports] == pytest.approx([float(expected)], rel=1e-5)


def test_no_epochs_change_nothing(digits: Dataset, cpu: Device, lively: Lively, same: Same) -> None:
    state, diary = lively(SMALL), Diary()
    tensors, buffers = trained(state, digits, cpu, recipe(epochs=0), hooks=diary.hooks)
    assert same(tensors, state.tensors)
    assert (buffers, diary.reports, diary.saved) == ({}, [], [])


def test_a_batch_larger_than_the_data_is_all_of_the_data(digits: Dataset, cpu: Device, lively: Lively) -> None:
    diary = Diary()
    trained(lively(SMALL), digits, cpu, recipe(epochs=2, batch_size=10_000), hooks=diary.hooks)
    assert [report.done for report in diary.reports if report.epoch_finished] == [180, 360]


# Masks that hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_masked_weights_and_their_momentum_stay_exactly_zero_at_every_step(
    optimizer: str, digits: Dataset, cpu: Device, lively: Lively
) -> None:
    random = torch.Generator().manual_seed(5)
    dense = lively(SMALL, optimizer)
    masks = {
        name: torch.rand(dense.tensors[f"{name}.weight"].shape, generator=random) < 0.2
        for name in ("conv1", "layer1.0.conv1", "layer2.0.shortcut.0", "layer3.2.conv2", "linear")
    }
    state = apply_masks(masks, dense)
    model = instantiate(state, CPU)
    layers = {name: model.get_submodule(name) for name in masks}
    steps = 0

    def look() -> bool:
        nonlocal steps
        steps += 1
        return any(bool(layer.weight[~masks[name]].count_nonzero()) for name, layer in layers.items())

    settings = recipe(epochs=8, batch_size=16, optimizer=optimizer, lr=0.01, weight_decay=0.01)
    buffers = train(model, digits, settings, "key", cpu, Diary(look).hooks, state.masks, state.momentum)
    assert steps == 8 * 11
    for name, keep in masks.items():
        assert layers[name].weight[~keep].count_nonzero() == 0
        assert not torch.equal(layers[name].weight[keep], state.tensors[f"{name}.weight"][keep])
        for buffer in ("momentum_buffer",) if optimizer == "sgd" else ("exp_avg", "exp_avg_sq"):
            assert buffers[f"{buffer}/{name}.weight"][~keep].count_nonzero() == 0
            assert buffers[f"{buffer}/{name}.weight"][keep].count_nonzero() > 0


# When it cannot go on ---------------------------------------------------------------------------------


class Poisoned(nn.Module):
    """Its loss is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * torch.nan


def test_a_loss_that_is_not_finite_fails_the_trial_and_says_what_may_help(digits: Dataset, cpu: Device) -> None:
    with pytest.raises(TrialError, match=r"the loss became nan in epoch 1; a lower lr than 0\.05 may help"):
        train(Poisoned(), digits, recipe(), "key", cpu, Diary().hooks)


def test_a_learning_rate_that_blows_up_the_net_fails_the_trial(digits: Dataset, cpu: Device, lively: Lively) -> None:
    settings = recipe(epochs=3).model_copy(update={"lr": 1e30})
    with pytest.raises(TrialError, match=r"the loss became (nan|inf) in epoch 1"):
        trained(lively(SMALL), digits, cpu, settings)


def test_a_net_that_its_last_step_blows_up_fails_the_trial_too(digits: Dataset, cpu: Device, lively: Lively) -> None:
    """One batch: its loss is computed before the only step, and no later loss tells that the weights are gone."""
    settings = recipe(epochs=1, batch_size=180).model_copy(update={"lr": 1e38})
    with pytest.raises(TrialError):
        trained(lively(SMALL), digits, cpu, settings)


def test_outputs_are_checked_by_a_few_examples_not_by_a_whole_batch(digits: Dataset, cpu: Device) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    evaluated: list[int] = []
    net.register_forward_hook(lambda module, inputs, output: None if module.training else evaluated.append(len(output)))
    train(net, digits, recipe(epochs=1, batch_size=180), "key", cpu, Diary().hooks)
    assert evaluated == [32]


def test_the_wish_to_stop_is_heard_after_one_batch(digits: Dataset, cpu: Device, lively: Lively) -> None:
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) == 3

    model = instantiate(lively(SMALL), CPU)
    with pytest.raises(Interrupted):
        train(model, digits, recipe(epochs=50), "key", cpu, Diary(stop).hooks)
    assert len(asked) == 3
    assert not model.training


# Steps on buffers that stay --------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_steps_on_buffers_that_stay_train_the_very_same_net(
    lively: Lively, digits: Dataset, cpu: Device, same: Same, optimizer: str
) -> None:
    state = lively(SMALL)
    again = dataclasses.replace(cpu, graphs=True)
    plain, repeated = (trained(state, digits, d, recipe(optimizer=optimizer, lr=0.01)) for d in (cpu, again))
    assert same(plain[0], repeated[0])
    assert same(plain[1], repeated[1])


def test_a_repeated_step_sees_each_batch_through_one_buffer() -> None:
    seen: list[tuple[int, float]] = []

    def step(batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, labels = batch
        seen.append((inputs.data_ptr(), float(inputs.sum())))
        return labels + 1

    repeated = Repeated(step)
    for value in (1.0, 2.0, 3.0):
        assert repeated((torch.full((2,), value), torch.tensor([5]))).tolist() == [6]
    assert [value for _, value in seen] == [2.0, 4.0, 6.0]
    assert len({pointer for pointer, _ in seen}) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_recorded_training_is_the_plain_one(lively: Lively, digits: Dataset, optimizer: str) -> None:
    device = find_device("cuda")
    prepare(device)
    data, settings = digits.to(device.torch), recipe(optimizer=optimizer, lr=0.01)
    nets = []
    for graphs in (False, True):
        model = instantiate(lively(SMALL), device.torch)
        train(model, data, settings, "key", dataclasses.replace(device, graphs=graphs), Diary().hooks)
        nets.append(model.state_dict())
    for name, tensor in nets[0].items():
        torch.testing.assert_close(nets[1][name], tensor, rtol=1e-3, atol=1e-4)


def test_a_training_leaves_nothing_of_itself_behind(lively: Lively, digits: Dataset, cpu: Device) -> None:
    gc.collect()
    gc.disable()
    try:
        model = instantiate(lively(SMALL), CPU)
        train(model, digits, recipe(), "key", dataclasses.replace(cpu, graphs=True), Diary().hooks)
        left = weakref.ref(model)
        del model
        assert left() is None  # no circle that keeps a GPU's memory until the collector comes by
    finally:
        gc.enable()
