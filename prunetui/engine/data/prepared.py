"""A source of prepared examples of any structure that lie in memory, on the device that computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from prunetui.api import Batch
from prunetui.api.source import count_of, mapped, tensors_in


@dataclass(frozen=True)
class PreparedExamples:
    """All examples of each split as one batch, which is indexed: every tensor in it has an example a first index."""

    name: str
    classes: tuple[str, ...] | None
    train: Batch
    validation: Batch
    test: Batch
    fingerprint: str

    @property
    def device(self) -> torch.device:
        return tensors_in(self.train)[0].device

    def to(self, device: torch.device) -> PreparedExamples:
        """The same data on another device."""
        train, validation, test = (
            mapped(split, lambda tensor: tensor.to(device)) for split in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)

    def split(self, name: str) -> Batch:
        """All examples of ``train``, ``validation`` or ``test``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def length(self, split: str) -> int:
        return count_of(self.split(split))

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """All examples of a split in order."""
        for start in range(0, self.length(split), batch_size):
            yield mapped(self.split(split), itemgetter(slice(start, start + batch_size)))

    def chosen(self, split: str, index: Tensor, batch_size: int) -> Iterator[Batch]:
        """The examples of a split at ``index``."""
        for part in torch.split(index.to(self.device), batch_size):
            yield mapped(self.split(split), itemgetter(part))

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """``count`` training examples in random order (all, if there are fewer)."""
        return self.chosen("train", torch.randperm(self.length("train"), generator=generator)[:count], batch_size)

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Batch]:
        """One pass over the training examples, shuffled; the last incomplete batch is left out."""
        batch_size = min(batch_size, self.length("train"))
        order = torch.randperm(self.length("train"), generator=generator)
        used = order[first * batch_size : self.batches_in_epoch(batch_size) * batch_size]
        return self.chosen("train", used, batch_size)

    def batches_in_epoch(self, batch_size: int) -> int:
        """How many batches ``epoch`` gives."""
        return max(1, self.length("train") // batch_size)

    def example(self) -> Batch:
        """One training example; of a data set without any, one of the test split."""
        return self._example

    @cached_property
    def _example(self) -> Batch:
        split = self.train if self.length("train") else self.test
        return mapped(split, lambda tensor: tensor[:1].cpu())

    def description(self) -> dict[str, Any]:
        """What a saved network says: its data, the classes, and that inputs are taken as they are."""
        return {"data": self.name, "classes": self.classes, "prepared": True}
