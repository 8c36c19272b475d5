"""Streamed images, images a second: one epoch of decoded, augmented and normalised batches of 224 pixels.

Beside it the loop of torchvision's references: ``ImageFolder``, v2 transforms of single images (a resized crop and a
flip), a ``DataLoader`` with as many workers. The first look at all files, once a tree, is not timed; it is kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks._photos import photo_tree
from benchmarks._plain import device
from benchmarks._turns import Work, in_turns
from prunetui.config import DataTable
from prunetui.engine.data import load_source

IMAGES, BATCH, SIZE = 640, 64, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ours(root: str, workers: int) -> Work:
    """Batches as a training gets them."""
    data = DataTable(
        name="folder", root=root, size=SIZE, memory="stream", augment="resized-crop+flip", normalize="imagenet",
        workers=workers, validation=0.0,
    )  # fmt: skip
    source = load_source(data).to(device())
    epochs = iter(range(10**6))

    def work() -> float:
        generator = torch.Generator().manual_seed(next(epochs))
        return sum(_done(images, labels) for images, labels in source.epoch(BATCH, generator))

    return work


def peer(root: str, workers: int) -> Work:
    """Batches as torchvision's references make them."""
    steps = [v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    images = ImageFolder(str(Path(root) / "train"), v2.Compose(steps))
    loader: DataLoader[Any] = DataLoader(
        images, BATCH, shuffle=True, drop_last=True, num_workers=workers, pin_memory=device().type == "cuda",
        persistent_workers=True,
    )  # fmt: skip

    def work() -> float:
        return sum(_done(inputs.to(device()), labels.to(device())) for inputs, labels in loader)

    return work


def _done(images: torch.Tensor, labels: torch.Tensor) -> int:
    assert images.shape[1:] == (3, SIZE, SIZE)
    return len(labels)


def results() -> Iterator[dict[str, Any]]:
    """With as many workers as there are cores, and with one."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        root = str(photo_tree(Path(folder), IMAGES, 10))
        for workers in sorted({1, cores}):
            sides = partial(ours, root, workers), partial(peer, root, workers)
            yield in_turns(f"streaming, {workers} workers", *sides, "images/s")
