"""A training that stops within an epoch goes on there: the rest of it is what it would have been, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunetui.api import Accumulator, Metric, Source, Splits, Task, Training
from prunetui.api.constraints import Constraints
from prunetui.config import DataTable, Recipe
from prunetui.engine import training_loop
from prunetui.engine.data.source_loader import source_of
from prunetui.engine.device import Device
from prunetui.engine.epoch_progress import EpochProgress
from prunetui.engine.partial import partial_bytes, read_partial
from prunetui.engine.randomness import generator_states, seed_everything, set_generator_states
from prunetui.engine.train_job import START, Hooks, Shape, TrainJob, TrainProgress, TrainState, WithinEpoch
from prunetui.engine.training_loop import train
from prunetui.errors import Interrupted
from prunetui.metrics.metric import LOWER

RECIPE = Recipe(epochs=2, batch_size=4, lr=0.01, precision="fp32")
CPU = torch.device("cpu")
Stopping = Callable[[], bool]


class Noisy:
    """Pairs of numbers and their sum; the numbers are drawn from every generator that belongs to nobody."""

    def __init__(self, count: int = 22) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        numbers = torch.tensor(
            [index / 22, torch.rand(1).item(), np.random.random(), random.random()], dtype=torch.float32
        )
        return numbers, numbers.sum()[None]


class Sum(Task):
    """How far sums are off."""

    name, measures, outputs = "sum", (Metric("error", "Error", direction=LOWER),), 1

    def loss(self, model: Any, batch: Any) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    def metrics(self, model: Any, batch: Any, accumulator: Accumulator) -> None:
        accumulator.mean("error", (model(batch[0]) - batch[1]).abs())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def random_masks(training: Training) -> None:
    """Draws a mask from the method's generator after every batch, and counts the batches."""
    chance = torch.rand(8, generator=training.generator)
    training.masks["0"] = (chance > chance.median())[:, None].expand(8, 4).clone()
    training.memory["batches"] = training.memory.get("batches", torch.zeros(())) + 1


def source(kind: str) -> Source:
    """22 examples: five batches of four, or six batches of a loader."""
    seed_everything(7)
    noise = [Noisy()[i] for i in range(22)]
    tensors = TensorDataset(*(torch.stack(part) for part in zip(*noise, strict=True)))
    made: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "tensors": (tensors, tensors, {}),
        "items": (Noisy(), Noisy(), {"memory": "stream", "workers": 0}),
        "loader": (DataLoader(Noisy(), 4, shuffle=True), DataLoader(tensors, 4), {}),  # type: ignore[arg-type]
    }
    train, test, settings = made[kind]
    splits = Splits(train, test, prepared=True)
    return source_of(splits, DataTable(validation=0, **settings), lambda level, line: None)


def trained(
    model: nn.Module, data: Source, device: Device, start: TrainState, first: int, stop: Stopping
) -> tuple[TrainState, list[TrainProgress], list[tuple[int, TrainState]]]:
    """The state after training, or where it was stopped; its reports; and what was saved, as it is read again."""
    reports: list[TrainProgress] = []
    saved: list[tuple[int, TrainState]] = []

    def save(epoch: int, state: TrainState) -> None:
        epochs, tensors, read = read_partial(partial_bytes(epoch, model, state))
        model.load_state_dict(tensors)  # nothing but what is in the file may matter
        saved.append((epochs, read))

    job = TrainJob(RECIPE, "key", first, shape=Shape(random_masks, Constraints()))
    try:
        after = train(model, Sum(), data, job, start, device, Hooks(reports.append, save, stop))
    except Interrupted:
        after = saved[-1][1]
    return after, reports, saved


@pytest.mark.parametrize("kind", ["tensors", "items", "loader"])
@pytest.mark.parametrize("batches", [2, 8])
def test_it_goes_on_after_the_batch_at_which_it_was_stopped(kind: str, batches: int, cpu: Device) -> None:
    whole = network()
    end, reports, _ = trained(whole, source(kind), cpu, TrainState(), 0, lambda: False)

    calls = iter(range(1, 100))
    part = network()
    half, _, saved = trained(part, source(kind), cpu, TrainState(), 0, lambda: next(calls) == batches)
    epoch, size = divmod(batches, source(kind).batches_in_epoch(4))
    assert (saved[-1][0], half.within.batch) == (epoch, size)
    assert size > 0

    seed_everything(99)  # whatever was drawn meanwhile
    again, more, _ = trained(part, source(kind), cpu, half, epoch, lambda: False)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(part.state_dict()[name], tensor), name
    for ours, theirs in zip(
        (again.momentum, again.masks, again.memory), (end.momentum, end.masks, end.memory), strict=True
    ):
        assert_same(ours, theirs)
    last, other = more[-1], reports[-1]
    assert (last.loss, last.metric, last.done, last.lr) == (other.loss, other.metric, other.done, other.lr)


def test_images_are_augmented_as_in_an_epoch_that_was_never_left() -> None:
    images = np.random.default_rng(0).integers(0, 256, (22, 1, 8, 8), dtype=np.uint8)
    splits = Splits((images, np.arange(22) % 2), (images, np.arange(22) % 2))
    data = source_of(splits, DataTable(validation=0, augment="crop+flip"), lambda level, line: None)
    whole = list(data.epoch(4, torch.Generator().manual_seed(5)))
    rest = list(data.epoch(4, torch.Generator().manual_seed(5), 3))
    assert (len(whole), len(rest)) == (5, 2)
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_one_that_stops_after_the_last_batch_of_an_epoch_begins_the_next(cpu: Device) -> None:
    calls = iter(range(1, 100))
    half, reports, saved = trained(network(), source("items"), cpu, TrainState(), 0, lambda: next(calls) == 5)
    assert (saved[-1][0], half.within) == (1, START)
    assert reports[-1].epoch_finished


def test_the_middle_of_a_long_epoch_is_saved_now_and_then(cpu: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "SAVE_SECONDS", -1.0)
    *_, saved = trained(network(), source("items"), cpu, TrainState(), 0, lambda: False)
    assert [(epoch, state.within.batch) for epoch, state in saved] == [
        (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4),
    ]  # fmt: skip


def test_sums_are_kept_exactly_and_what_a_task_keeps_itself_is_missed() -> None:
    kept: dict[str, Any] = {}
    before = EpochProgress(CPU, kept, {})
    batch = Accumulator(kept)
    shared = torch.ones(2)
    for name, value in (("a", shared), ("b", shared), ("c", 123456789.25)):
        batch.add(name, value)
    before.add(torch.tensor(2.0), batch, 4)
    _, _, state = read_partial(partial_bytes(0, nn.Linear(1, 1), TrainState(within=WithinEpoch(1, {}, before.sums()))))
    after = EpochProgress(CPU, kept, state.within.sums)
    assert float(after.metrics.sums["c"]) == 123456789.25
    assert (after.seen, after.is_whole) == (4, True)
    after.metrics.keep("own", list)
    assert not after.is_whole


def test_generators_go_on_from_where_they_were() -> None:
    def draw() -> list[float]:
        return [torch.rand(1).item(), np.random.random(), np.random.normal(), random.random(), random.gauss(0, 1)]

    draw()  # of a pair of normal numbers the second is kept for the next time
    states = generator_states(CPU)
    expected = draw()
    seed_everything(1)
    set_generator_states(states, CPU)
    assert draw() == expected


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
