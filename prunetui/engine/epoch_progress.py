"""What an epoch has shown so far: the mean loss, the metrics, and how many examples a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from prunetui.api import Accumulator

LOSS, SEEN = "loss", "seen"
SUM, COUNT = "sum:", "count:"


class EpochProgress:
    """Sums over the batches of an epoch.

    They stay on the device, and are read twice a second, not every batch. ``kept`` are objects that the task keeps from
    batch to batch: what those have added up is not among ``sums``, and is missing where a training goes on.
    """

    def __init__(self, device: torch.device, kept: dict[str, Any], sums: Mapping[str, Tensor]) -> None:
        moved = {name: tensor.to(device) for name, tensor in sums.items()}
        self.losses = moved.pop(LOSS, torch.zeros((), device=device))
        self.seen = self._before = int(moved.pop(SEEN, torch.tensor(0)))
        self.metrics = Accumulator(kept)
        self.metrics.sums = {name.removeprefix(SUM): t for name, t in moved.items() if name.startswith(SUM)}
        self.metrics.counts = {name.removeprefix(COUNT): int(t) for name, t in moved.items() if name.startswith(COUNT)}
        self._started = time.monotonic()

    def add(self, loss: Tensor, metrics: Accumulator, examples: int) -> None:
        """A batch's summed loss and its metrics."""
        self.losses = self.losses + loss
        self.metrics.merge(metrics)
        self.seen += examples

    @property
    def is_whole(self) -> bool:
        """Whether the metrics are of all examples so far."""
        return not (self._before and self.metrics.kept)

    def loss(self) -> float:
        """The mean of the losses."""
        return float(self.losses / self.seen)

    def rate(self) -> float:
        """Examples a second since it began, or went on."""
        return (self.seen - self._before) / (time.monotonic() - self._started + 1e-9)

    def sums(self) -> dict[str, Tensor]:
        """All sums, to go on with."""
        numbers: dict[str, Any] = {LOSS: self.losses, SEEN: self.seen}
        numbers |= {f"{SUM}{name}": value for name, value in self.metrics.sums.items()}
        numbers |= {f"{COUNT}{name}": value for name, value in self.metrics.counts.items()}
        return {
            name: value.clone() if isinstance(value, Tensor) else torch.tensor(value, dtype=_exact(value))
            for name, value in numbers.items()
        }


def _exact(value: float) -> torch.dtype:
    return torch.float64 if isinstance(value, float) else torch.int64
