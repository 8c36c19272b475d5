"""Prepared examples: tensors of any structure, map-style datasets and loaders, all repeatable by the seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from prunetui.api import IndexedSource, Splits
from prunetui.api.source import count_of, tensors_in
from prunetui.config import DataTable
from prunetui.data.tree.wanted import Wanted
from prunetui.engine.data.fingerprint import fingerprint
from prunetui.engine.data.loaded import network_shape
from prunetui.engine.data.source_loader import load_dataset, source_of, worker_count
from prunetui.engine.randomness import seed_everything
from prunetui.errors import DataError
from prunetui.tasks.classification import Classification

HALF = DataTable(validation=0.5)


class Noise:
    """Items that draw from all three generators: {index, three numbers}."""

    def __init__(self, count: int = 8) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        drawn = [torch.rand(1).item(), float(np.random.random()), random.random()]
        return {"index": index, "drawn": torch.tensor(drawn)}


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


def prepared(train: Any, test: Any, validation: Any = None, classes: Any = None, collate: Any = None) -> Splits:
    return Splits(train, test, validation, classes, prepared=True, collate=collate)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(batches: Iterator[Any]) -> list[Any]:
    return [[tensor.tolist() for tensor in tensors_in(batch)] for batch in batches]


# In memory ---------------------------------------------------------------------------------------------


def test_two_tensors_are_a_data_set_whose_labels_are_its_classes() -> None:
    inputs = torch.arange(12.0, dtype=torch.float64).view(6, 2)
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=np.int32)
    source = source_of(prepared((inputs, labels), (inputs[:3], labels[:3])), HALF)
    assert isinstance(source, IndexedSource)
    assert [source.length(split) for split in ("train", "validation", "test")] == [3, 3, 3]
    assert source.classes == ("0", "1", "2")
    batch = next(source.batches("test", 2))
    assert [(tensor.dtype, tensor.tolist()) for tensor in batch] == [
        (torch.float64, [[0, 1], [2, 3]]), (torch.int32, [0, 1]),
    ]  # fmt: skip
    chosen = next(source.chosen("test", torch.tensor([2, 0]), 5))
    assert chosen[0].tolist() == [[4, 5], [0, 1]]
    held, kept = (next(source.batches(split, 9))[1].tolist() for split in ("validation", "train"))
    assert sorted(held) == sorted(kept) == [0, 1, 2]  # stratified
    assert network_shape(Classification(), source) == (None, None, 3)


def test_an_epoch_has_every_example_once_in_the_order_of_its_generator() -> None:
    numbers = torch.arange(7)
    source = source_of(prepared(numbers, numbers), DataTable(validation=0))
    first, again, other = (plain(source.epoch(3, generator(seed))) for seed in (0, 0, 1))
    assert [len(batch[0]) for batch in first] == [3, 3]
    assert source.batches_in_epoch(3) == 2
    assert first == again != other
    assert len({number for batch in first for number in batch[0]}) == 6
    assert plain(source.sample(2, generator(), 9)) == [[torch.randperm(7, generator=generator())[:2].tolist()]]
    assert source.example().tolist() == [0]


def test_structures_go_through_as_they_are_and_images_are_known_by_their_shape() -> None:
    images = torch.zeros(4, 3, 8, 8)
    pairs = {"image": images, "masks": (torch.zeros(4, 8, 8), torch.ones(4, 1))}
    source = source_of(prepared(pairs, pairs), HALF)
    batch = next(source.batches("test", 3))
    assert batch["image"].shape == (3, 3, 8, 8)
    assert [tensor.shape for tensor in batch["masks"]] == [(3, 8, 8), (3, 1)]
    assert source.classes is None
    same = source_of(prepared(TensorDataset(images, images[:, 0]), TensorDataset(images, images[:, 0])), HALF)
    task: Any = SimpleNamespace(inputs=lambda batch: batch[0], outputs=None)
    assert network_shape(task, same) == (3, 8, None)


def test_the_fingerprint_is_of_content_types_and_structure() -> None:
    ones = torch.ones(4, 2)
    different = [
        ones, ones + 1, ones.double(), ones.view(2, 4), (ones, ones), {"a": ones}, {"b": ones}, ones.numpy(),
        "1", 1, b"1",
    ]  # fmt: skip
    assert len({fingerprint(value) for value in different}) == len(different)
    assert fingerprint({"a": ones}) == fingerprint({"a": ones.clone()})
    changed = ones.clone()
    changed[3, 1] = 0
    two = [source_of(prepared(values, ones), DataTable(validation=0)).fingerprint for values in (ones, changed)]
    assert two[0] != two[1]


# Map-style datasets ------------------------------------------------------------------------------------


def test_random_items_are_the_same_by_any_number_of_workers_and_after_an_interruption() -> None:
    def source(workers: int) -> Any:
        return source_of(prepared(Noise(), Noise(3)), DataTable(validation=0.25, workers=workers))

    here, there = source(0), source(2)
    seed_everything(5)
    before = torch.get_rng_state()
    epochs = [plain(here.epoch(2, generator(seed))) for seed in (0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert plain(there.epoch(2, generator(1))) == epochs[1]  # as one that goes on after the first epoch
    drawn = [{number: values for batch in epoch for number, values in zip(*batch, strict=True)} for epoch in epochs]
    assert drawn[0].keys() == drawn[1].keys()
    assert all(len({*drawn[0][item], *drawn[1][item]}) == 6 for item in drawn[0])  # new numbers of all three generators
    assert plain(here.batches("test", 2)) == plain(there.batches("test", 2)) == plain(here.batches("test", 2))
    assert [here.length(split) for split in ("train", "validation", "test")] == [6, 2, 3]
    assert here.fingerprint == there.fingerprint != source_of(prepared(Noise(9), Noise(3)), HALF).fingerprint
    assert not isinstance(here, IndexedSource)
    assert here.example()["index"].tolist() == [here.train.index[0]]


def test_items_that_stay_in_memory_are_drawn_once() -> None:
    source = source_of(prepared(Noise(), Noise(3)), DataTable(validation=0, memory="device"))
    assert isinstance(source, IndexedSource)
    first, second = plain(source.batches("train", 8)), plain(source.epoch(8, generator()))
    assert sorted(map(tuple, first[0][1])) == sorted(map(tuple, second[0][1]))


def test_a_collate_of_ones_own_makes_batches_and_may_draw() -> None:
    def pad(items: list[list[int]]) -> dict[str, Tensor]:
        longest = max(map(len, items))
        return {"words": torch.tensor([[*item, *[0] * (longest - len(item))] for item in items]), "mask": torch.rand(2)}

    texts = [[1], [2, 3], [4, 5, 6], [7]]
    source = source_of(prepared(texts, texts, collate=pad), DataTable(validation=0, workers=0))
    assert [batch["words"].tolist() for batch in source.batches("test", 2)] == [
        [[1, 0], [2, 3]],
        [[4, 5, 6], [7, 0, 0]],
    ]
    assert plain(source.epoch(2, generator())) == plain(source.epoch(2, generator()))


# Loaders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_keep_their_batches_and_repeat_by_the_seed(workers: int) -> None:
    told: list[str] = []
    own = generator(3)
    loaders = [
        DataLoader(Noise(), batch_size=3, shuffle=True, num_workers=workers, generator=own),  # type: ignore[arg-type]
        DataLoader(Noise(3), batch_size=2, drop_last=True),  # type: ignore[arg-type]
    ]
    source = source_of(prepared(*loaders), DataTable(validation=0), lambda level, line: told.append(line))
    first, other, again = (plain(source.epoch(64, generator(seed))) for seed in (0, 1, 0))
    assert [len(batch[0]) for batch in first] == [3, 3, 2]
    assert source.batches_in_epoch(64) == 3
    assert first == again
    assert [batch[0] for batch in first] != [batch[0] for batch in other]
    values = [number for batch in (*first, *other) for row in batch[1] for number in row]
    assert len(set(values)) == len(values)
    assert [count_of(batch) for batch in source.sample(4, generator(), 64)] == [3, 1]
    assert [source.length(split) for split in ("train", "validation", "test")] == [8, 0, 2]
    assert told == [
        "digits: its loaders keep their order and batches of 3 (train), 2 (test); no batch_size is followed",
        "digits: the test loader leaves out the last incomplete batch (drop_last)",
    ]


# Refused -----------------------------------------------------------------------------------------------

ROWS = torch.zeros(6, 2)
LOADER = DataLoader(TensorDataset(ROWS), batch_size=2)


@pytest.mark.parametrize(
    ("splits", "data", "words"),
    [
        (prepared(ROWS, LOADER), HALF, "the splits of digits are arrays and loaders; make them all alike"),
        (prepared(3, ROWS), HALF, "digits, train: a prepared split is tensors or arrays [N, ...]"),
        (prepared(Endless(), Endless()), HALF, "this is Endless, which has no length"),
        (prepared((ROWS, ROWS[:5]), ROWS), HALF, "digits, train: arrays are [[6, 2], [5, 2]]"),
        (prepared((ROWS, np.array(["a"] * 6)), ROWS), HALF, "digits, train: can't convert np.ndarray"),
        (prepared(ROWS, ROWS[:0]), HALF, "3 training and 0 test examples are too few"),
        (prepared(ROWS, ROWS), DataTable(validation=0.01), "data.validation = 0.01 of 6 training examples is none"),
        (
            prepared(ROWS, ROWS),
            DataTable(normalize="half", augment="flip"),
            "augment = flip, data.normalize = half does",
        ),
        (prepared(ROWS, ROWS), DataTable(memory="stream"), "(arrays), for which data.memory = stream does nothing"),
        (prepared(LOADER, LOADER), HALF, "a loader keeps its examples, so that none can be held out"),
        (
            prepared(LOADER, LOADER),
            DataTable(validation=0, limit=3),
            "(loaders), for which data.limit = 3 does nothing",
        ),
        (prepared([1, None], [1]), DataTable(validation=0, workers=0), "a batch cannot be made: TypeError"),
        (prepared(["a", "b"], ["a"]), DataTable(validation=0, workers=0), "a batch is list without tensors"),
        (
            prepared(DataLoader(Endless(), batch_size=2), LOADER),
            DataTable(validation=0),
            "a loader says how many batches and examples it has",
        ),
        (
            prepared(DataLoader(TensorDataset(ROWS), num_workers=1, persistent_workers=True), LOADER),
            DataTable(validation=0),
            "make the loader with persistent_workers=False",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(splits: Splits, data: DataTable, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)):
        for _ in source_of(splits, data).batches("train", 2):
            pass


def test_a_network_with_other_classes_is_no_network_for_them() -> None:
    labelled = ROWS, torch.tensor([0, 1, 0, 1, 0, 1])
    wanted = Wanted(classes=("cat", "dog"))
    assert (
        source_of(prepared(labelled, labelled, classes=("cat", "dog")), HALF, wanted=wanted).classes == wanted.classes
    )
    with pytest.raises(DataError, match="are not those that the network tells apart"):
        source_of(prepared(labelled, labelled, classes=("dog", "cat")), HALF, wanted=wanted)


def test_an_error_in_a_worker_is_told_by_its_last_words() -> None:
    class Broken(Noise):
        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 5 and get_worker_info():
                raise KeyError("no such scan")
            return super().__getitem__(index)

    source = source_of(prepared(Broken(), Noise(3)), DataTable(validation=0, workers=1))
    with pytest.raises(DataError, match=r"^digits: a batch cannot be made: KeyError: 'no such scan'$"):
        list(source.batches("train", 4))


def test_images_in_memory_are_asked_for_and_not_there(tmp_path: Any) -> None:
    file = tmp_path / "data.py"
    file.write_text(
        "import torch\nfrom prunetui.api import Splits\n\n\ndef own():\n"
        "    return Splits(torch.ones(4, 1), torch.ones(4, 1), prepared=True)\n"
    )
    with pytest.raises(
        DataError, match=r"data\.py:own is of prepared examples, and images with labels are needed here"
    ):
        load_dataset(DataTable(name=f"{file}:own", validation=0))


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(12)), raising=False)
    counted: Callable[[int], int] = lambda processes: worker_count(DataTable(), processes)  # noqa: E731
    assert [counted(processes) for processes in (1, 3, 24)] == [8, 4, 1]
    assert worker_count(DataTable(workers=0), 1) == 0
