"""One plain training for all networks of a comparison: the same images, order, optimiser and schedule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._images import colour_digits
from prunetui.config import DataTable
from prunetui.engine.data import Dataset, load_dataset

Batch = tuple[Tensor, Tensor]
BATCH = 128
DIGITS = 360
"""Test images of scikit-learn's digits."""
RISE = 0.2
"""The share of steps in which the learning rate rises; then it falls to zero, both in a straight line."""
CALIBRATION = 512
"""Training images whose gradients criteria may see."""


@dataclass(frozen=True)
class PlainRecipe:
    """How long and how fast a network is trained."""

    epochs: int
    rate: float


def images(data: str, limit: int, size: int) -> Dataset:
    """``digits`` enlarged to 3x32x32, or an image tree scaled to a size; at most so many to train on, and to test."""
    if data == "digits":
        return colour_digits(limit, min(limit, DIGITS))
    return load_dataset(DataTable(name="folder", root=data, size=size, validation=0.0, limit=limit))


def trained(network: nn.Module, data: Dataset, recipe: PlainRecipe, seed: int) -> float:
    """Train in place, by SGD with Nesterov momentum 0.9 and weight decay 5e-4; top-1 on the test images at the end."""
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), recipe.rate, 0.9, weight_decay=5e-4, nesterov=True)
    steps = recipe.epochs * data.batches_in_epoch(BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, steps))
    order = torch.Generator().manual_seed(seed)
    for _ in range(recipe.epochs):
        for inputs, labels in data.epoch(BATCH, order):
            optimizer.zero_grad()
            F.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return top1(network, data)


def _share_of_rate(step: int, steps: int) -> float:
    rise = max(1.0, RISE * steps)
    return min((step + 1) / rise, (steps - step) / max(1.0, steps - rise))


@torch.no_grad()
def top1(network: nn.Module, data: Dataset) -> float:
    """Accuracy on the test images in percent."""
    network.eval()
    right = sum(int((network(inputs).argmax(1) == labels).sum()) for inputs, labels in data.batches("test", BATCH))
    return 100 * right / data.length("test")


def calibration(data: Dataset, seed: int) -> list[Batch]:
    """Training images, not augmented, for criteria that look at gradients."""
    return list(data.sample(CALIBRATION, torch.Generator().manual_seed(seed), BATCH))


def macs(network: nn.Module, example: Tensor) -> int:
    """Multiply-accumulates of one image, as torch's own counter has them."""
    network.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        network(example)
    return counter.get_total_flops() // 2
