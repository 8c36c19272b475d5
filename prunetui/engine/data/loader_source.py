"""A source of a user's own ``torch.utils.data.DataLoader``s, which keep their batches and their order.

All that they draw from is seeded at the start of every pass, so that the same seed gives the same batches, and so does
an epoch after an interruption.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

import torch
from torch.utils.data import DataLoader

from prunetui.api import Batch
from prunetui.api.source import count_of, mapped
from prunetui.engine.data.failures import told
from prunetui.engine.randomness import NUMPY_SEEDS, drawn_seed, generators_restored, seed_everything
from prunetui.errors import DataError

Loader = DataLoader[Any]
IN_ORDER = 0
"""The seed of a pass that is no epoch."""


@dataclass(frozen=True)
class LoaderExamples:
    """Prepared examples in the batches of loaders; a split without one is empty."""

    name: str
    classes: tuple[str, ...] | None
    loaders: Mapping[str, Loader]
    fingerprint: str
    device: torch.device = torch.device("cpu")

    def to(self, device: torch.device) -> LoaderExamples:
        """The same data, with batches on another device."""
        return replace(self, device=device)

    def length(self, split: str) -> int:
        """How many examples a pass over the split's loader gives."""
        return self._lengths.get(split, 0)

    @cached_property
    def _lengths(self) -> dict[str, int]:
        return {split: examples_in(loader, f"{self.name}, {split}") for split, loader in self.loaders.items()}

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """All examples that the split's loader gives, in its batches, the same ones every time."""
        return self._pass(split, IN_ORDER)

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """The first ``count`` examples of a pass over the training loader, augmented as it does."""
        left = count
        for batch in self._pass("train", drawn_seed(generator)):
            yield mapped(batch, itemgetter(slice(left)))
            left -= count_of(batch)
            if left <= 0:
                return

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Batch]:
        """One pass over the training loader; those before ``first`` are made again: a loader cannot leave any out."""
        batches = self._pass("train", drawn_seed(generator))
        for _ in range(first):
            next(batches)
        return batches

    def batches_in_epoch(self, batch_size: int) -> int:
        """How many batches the training loader has."""
        return len(self.loaders["train"])

    def example(self) -> Batch:
        """The first example of the training loader."""
        return self._example

    @cached_property
    def _example(self) -> Batch:
        return mapped(next(self._pass("train", IN_ORDER)), lambda tensor: tensor[:1].cpu())

    def description(self) -> dict[str, Any]:
        """What a saved network says: its data, the classes, and that inputs are taken as they are."""
        return {"data": self.name, "classes": self.classes, "prepared": True}

    def _pass(self, split: str, seed: int) -> Iterator[Batch]:
        if split not in self.loaders:
            return
        loader = self.loaders[split]
        with generators_restored():
            seed_everything(seed)
            for generator in _generators(loader):
                generator.manual_seed(seed)
            if callable(set_epoch := getattr(loader.sampler, "set_epoch", None)):
                set_epoch(seed % NUMPY_SEEDS)
            for batch in told(loader, f"{self.name}, {split}"):
                yield mapped(batch, lambda tensor: tensor.to(self.device, non_blocking=True))


def _generators(loader: Loader) -> list[torch.Generator]:
    """All that a loader and its samplers draw from, but for those that belong to nobody."""
    batched = getattr(loader, "batch_sampler", None)
    holders = (loader, loader.sampler, batched, getattr(batched, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def examples_in(loader: Loader, where: str) -> int:
    """How many examples a pass over a loader gives.

    Raises:
        DataError: it does not know, or keeps random numbers from one pass to the next.
    """
    if getattr(loader, "persistent_workers", False):
        raise DataError(
            f"{where}: its workers go on from epoch to epoch, and so do their random numbers, which no seed repeats; "
            "make the loader with persistent_workers=False"
        )
    try:
        batches = len(loader)
        if loader.batch_size is not None:
            count = len(loader.sampler)  # type: ignore[arg-type]  # of those that have none it raises
            return min(count, batches * loader.batch_size)
        return sum(len(batch) for batch in loader.batch_sampler or ())
    except TypeError as error:
        raise DataError(
            f"{where}: a loader says how many batches and examples it has, and this one does not ({error}); "
            "give it a map-style dataset, one with a length"
        ) from error
