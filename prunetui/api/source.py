"""What data is to all that computes: batches of a split, whatever an example is and wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

Batch = Any
"""Several examples, as a task understands them: tensors in tuples, lists and mappings, an example a first index.

Where a task does not say otherwise, it is a pair of what goes into the network and what should come out of it: for
classification of images (inputs [B, C, H, W], labels [B]).
"""
T = TypeVar("T")


class Source(Protocol):
    """Examples in the splits ``train``, ``validation`` and ``test``. All batches lie on ``device``."""

    @property
    def fingerprint(self) -> str:
        """What changes when the examples or their split do."""

    @property
    def device(self) -> torch.device: ...

    def length(self, split: str) -> int:
        """How many examples a split has."""

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """All examples of a split in order, not augmented; the last batch may be smaller."""

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Batch]:
        """One pass over the training examples, shuffled and augmented; the last incomplete batch is left out.

        It depends on the state of ``generator`` alone: one in the same state gives the same batches. Those before
        ``first`` are left out, to go on in the middle; if they must be made for that, they are before this returns.
        """

    def batches_in_epoch(self, batch_size: int) -> int:
        """How many batches ``epoch`` gives."""

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        """``count`` training examples in random order (all, if there are fewer), not augmented."""

    def example(self) -> Batch:
        """A batch of one example, on the CPU: for graphs and counts."""

    def description(self) -> Mapping[str, Any]:
        """What a saved network says of the data it takes, as JSON-able data."""


@runtime_checkable
class IndexedSource(Source, Protocol):
    """A source that gives any examples of a split, not only all of them in order."""

    def chosen(self, split: str, index: Tensor, batch_size: int) -> Iterator[Batch]:
        """The examples at ``index`` (int64 [N]), not augmented."""


def mapped(value: T, change: Callable[[Tensor], Any]) -> T:
    """The same with every tensor in it changed, in tuples, lists and mappings; a dataclass becomes a mapping."""
    found: Any = value
    if isinstance(value, Tensor):
        found = change(value)
    elif isinstance(value, tuple | list):
        parts = [mapped(part, change) for part in value]
        found = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    elif isinstance(value, Mapping):
        found = {key: mapped(part, change) for key, part in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        found = {field.name: mapped(getattr(value, field.name), change) for field in fields(value)}
    return found  # type: ignore[no-any-return]


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in a batch, or in what a network gave, in their order."""
    found: list[Tensor] = []
    mapped(value, found.append)
    return found


def count_of(batch: Batch) -> int:
    """How many examples a batch has."""
    return len(tensors_in(batch)[0])


def arguments_of(inputs: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Inputs of a network as the arguments of its call: several in a tuple or list, or by name in a mapping."""
    if isinstance(inputs, Mapping):
        return (), inputs
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def called(model: Callable[..., Any], inputs: Any) -> Any:
    """What a network makes of inputs."""
    arguments, named = arguments_of(inputs)
    return model(*arguments, **named)
