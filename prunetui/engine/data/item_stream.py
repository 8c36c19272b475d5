"""A source of prepared examples that are made when they are used: items of map-style datasets, in worker processes.

Each item is made with generators that are seeded for it, and each batch likewise, so that neither the number of
workers nor where an interrupted training went on changes what comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch.utils.data import DataLoader, default_collate

from prunetui.api import Batch
from prunetui.api.source import mapped
from prunetui.engine.data.failures import told
from prunetui.engine.randomness import generators_restored, seed_everything

SEEDS = 2**62
Numbered = tuple[int, int]
"""An item's index and its seed."""
Collate = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class Items:
    """Some items of a map-style dataset, by their index."""

    dataset: Any
    index: Sequence[int]

    def __len__(self) -> int:
        return len(self.index)


class SeededItems:
    """Items by index and seed; each goes on with its seed, for whoever makes a batch of them."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, numbered: Numbered) -> tuple[int, Any]:
        index, seed = numbered
        with generators_restored():
            seed_everything(seed)
            return seed, self.dataset[index]


class SeededCollate:
    """Makes a batch of items, with the seed of the first."""

    def __init__(self, collate: Collate | None) -> None:
        self.collate = collate or default_collate

    def __call__(self, items: list[tuple[int, Any]]) -> Any:
        with generators_restored():
            seed_everything(items[0][0])
            return self.collate([item for _, item in items])


def collated(items: Items, seeds: Sequence[int], batch_size: int, collate: Collate | None, workers: int,
             pinned: bool = False) -> Iterable[Batch]:  # fmt: skip
    """Batches of items in their order, made ahead by ``workers`` processes; none makes them here."""
    numbered = list(zip(items.index, seeds, strict=True))
    batches = [numbered[start : start + batch_size] for start in range(0, len(numbered), batch_size)]
    return made_ahead(items.dataset, batches, collate, workers, pinned)


def made_ahead(
    dataset: Any, batches: Sequence[Sequence[Numbered]], collate: Collate | None, workers: int, pinned: bool = False
) -> Iterable[Batch]:
    """These batches of a dataset's items in their order.

    Processes are forked on Linux, as torch does, so that datasets need not be picklable; they compute with one thread.
    """
    return DataLoader(
        SeededItems(dataset),  # type: ignore[arg-type]  # as much of a dataset as is used
        batch_sampler=batches,  # type: ignore[arg-type]  # one without indices of its own
        collate_fn=SeededCollate(collate),
        num_workers=workers,
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        generator=torch.Generator(),  # its own: that of torch would be drawn from
        pin_memory=pinned,
    )


@dataclass(frozen=True)
class StreamedExamples:
    """Prepared examples of map-style datasets."""

    name: str
    classes: tuple[str, ...] | None
    train: Items
    validation: Items
    test: Items
    fingerprint: str
    collate: Collate | None
    workers: int
    device: torch.device = torch.device("cpu")

    def to(self, device: torch.device) -> StreamedExamples:
        """The same data, with batches on another device."""
        return replace(self, device=device)

    def split(self, name: str) -> Items:
        """The items of ``train``, ``validation`` or ``test``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def length(self, split: str) -> int:
        return len(self.split(split))

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """All examples of a split in order; an item is the same every time."""
        items = self.split(split)
        return self._batches(items, items.index, batch_size)

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """``count`` training examples in random order (all, if there are fewer)."""
        items = self._taken(torch.randperm(len(self.train), generator=generator)[:count])
        return self._batches(items, items.index, batch_size)

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Batch]:
        """One pass over the training examples, shuffled; the last incomplete batch is left out."""
        batch_size = min(batch_size, len(self.train))
        order = torch.randperm(len(self.train), generator=generator)
        order = order[: self.batches_in_epoch(batch_size) * batch_size]
        seeds: list[int] = torch.randint(SEEDS, (len(order),), generator=generator).tolist()
        done = first * batch_size
        return self._batches(self._taken(order[done:]), seeds[done:], batch_size)

    def batches_in_epoch(self, batch_size: int) -> int:
        """How many batches ``epoch`` gives."""
        return max(1, len(self.train) // batch_size)

    def example(self) -> Batch:
        """The first training example; of a data set without any, that of the test split."""
        return self._example

    @cached_property
    def _example(self) -> Batch:
        items = self.train if len(self.train) else self.test
        first = Items(items.dataset, items.index[:1])
        return next(told(collated(first, first.index, 1, self.collate, 0), self.name))

    def description(self) -> dict[str, Any]:
        """What a saved network says: its data, the classes, and that inputs are taken as they are."""
        return {"data": self.name, "classes": self.classes, "prepared": True}

    def _taken(self, order: torch.Tensor) -> Items:
        return Items(self.train.dataset, [self.train.index[i] for i in order.tolist()])

    def _batches(self, items: Items, seeds: Sequence[int], batch_size: int) -> Iterator[Batch]:
        pinned = self.device.type == "cuda"
        made = collated(items, seeds, batch_size, self.collate, self.workers, pinned)
        for batch in told(made, self.name):
            yield mapped(batch, lambda tensor: tensor.to(self.device, non_blocking=True))
