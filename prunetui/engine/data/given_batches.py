"""Batches that somebody has, in a DataLoader or a list, as a source: they are taken as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from functools import cached_property
from itertools import islice
from typing import Any

import torch

from prunetui.api import Batch, mapped
from prunetui.api.source import count_of, tensors_in
from prunetui.errors import UsageError

LEAST_BATCH = 2
"""What a recipe takes for a batch size at least; batches are as large as they are, whatever it says."""


class GivenBatches:
    """The splits ``train``, from ``data``, and ``test``: from ``test``, or else the batches that were looked at.

    Only so many batches of ``data`` are read at once as have ``wanted`` examples; a training goes over all of them.
    """

    fingerprint = "in memory"

    def __init__(
        self, data: Iterable[Batch], device: torch.device, wanted: int, test: Iterable[Batch] | None = None
    ) -> None:
        self.device = device
        self._data, self._test, self._wanted = data, test, wanted

    @cached_property
    def seen(self) -> list[Batch]:
        """The first batches, with ``wanted`` examples or what there is.

        Raises:
            UsageError: there is none, or one without a tensor.
        """
        found: list[Batch] = []
        count = 0
        for batch in self._moved(self._data):
            if not any(tensor.dim() for tensor in tensors_in(batch)):
                raise UsageError(f"data gives {type(batch).__name__} without a tensor; it must give batches of tensors")
            found.append(batch)
            count += count_of(batch)
            if count >= self._wanted:
                break
        if not found:
            raise UsageError("data gives no batch: it is empty, or it was read before")
        return found

    @property
    def count(self) -> int:
        """How many examples were looked at."""
        return sum(map(count_of, self.seen))

    @property
    def has_test(self) -> bool:
        """Whether figures are of data that no method has seen."""
        return self._test is not None

    @cached_property
    def batch_size(self) -> int:
        """Examples of the first batch."""
        return max(LEAST_BATCH, count_of(self.seen[0]))

    def check_repeatable(self) -> None:
        """
        Raises:
            UsageError: ``data`` cannot be gone over again, or does not say how many batches it has.
        """
        if not isinstance(self._data, Sized):
            raise UsageError(
                f"fine-tuning goes over data several times, and {type(self._data).__name__} does not tell its length: "
                "give a DataLoader or a list of batches"
            )

    def length(self, split: str) -> int:
        if split == "train" and isinstance(self._data, Sized):
            return len(self._data) * self.batch_size
        return self.count

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        return self._moved(self._test) if split == "test" and self._test is not None else iter(self.seen)

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Batch]:
        """One pass over ``data``, in the order that it has."""
        return self._moved(islice(self._data, first, None))

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        return iter(self.seen)

    def batches_in_epoch(self, batch_size: int) -> int:
        return len(self._data) if isinstance(self._data, Sized) else 1

    def example(self) -> Batch:
        """The first batch: whether a network takes a part of it is not known."""
        return mapped(self.seen[0], torch.Tensor.cpu)

    def description(self) -> Mapping[str, Any]:
        return {}

    def _moved(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield mapped(batch, lambda tensor: tensor.to(self.device, non_blocking=True))


class NoBatches(Sequence[Batch]):
    """In place of calibration batches where there is no data: whoever looks at them is told so."""

    def __init__(self, method: str) -> None:
        self._method = method

    def _missing(self) -> UsageError:
        return UsageError(f"the method {self._method} looks at data: give data= a DataLoader, or a list of batches")

    def __getitem__(self, index: Any) -> Any:
        raise self._missing()

    def __len__(self) -> int:
        raise self._missing()

    def __iter__(self) -> Iterator[Batch]:
        raise self._missing()
