"""The peers, as their users write them: torchvision transforms of single images, a DataLoader, float32.

The DataLoader gets as many worker processes as are fastest where this was written: none on a CPU with few cores, where
they take the cores that the network needs, and all but one beside a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from prunetui.engine.data import Dataset, Images


def device() -> torch.device:
    """CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class PilImages(TorchDataset[Any]):
    """As torchvision's CIFAR10: an array in memory, a PIL image and its transforms at every access."""

    def __init__(self, images: Images, transform: Any) -> None:
        self._pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = images.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def loader(data: Dataset, split: str, batch_size: int) -> DataLoader[Any]:
    """Shuffled and augmented for training, in order for the test."""
    training = split == "train"
    steps: list[Any] = [v2.ToImage()]
    if training:
        steps += [v2.RandomCrop(data.size, padding=data.size // 8), v2.RandomHorizontalFlip()]
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.mean, data.std)]
    images = PilImages(data.train if training else data.test, v2.Compose(steps))
    workers = 0 if device().type == "cpu" else max(1, (os.cpu_count() or 2) - 1)
    return DataLoader(
        images, batch_size, shuffle=training, drop_last=training, num_workers=workers, pin_memory=workers > 0,
        persistent_workers=workers > 0,
    )  # fmt: skip


def _batches(batches: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, labels in batches:
        yield inputs.to(device(), non_blocking=True), labels.to(device(), non_blocking=True)


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, batches: DataLoader[Any]) -> float:
    """One epoch; the mean loss."""
    model.train()
    total = 0.0
    for inputs, labels in _batches(batches):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
    return total / len(batches)


@torch.no_grad()
def correct(model: nn.Module, batches: DataLoader[Any]) -> int:
    """How many images are classified correctly."""
    model.eval()
    return sum(int((model(inputs).argmax(1) == labels).sum()) for inputs, labels in _batches(batches))
