"""A source whose images lie in memory, on the device that computes: how they are kept, and how batches leave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CROP_PADDING = 1 / 8
"""Zero padding before a random crop, as a fraction of the side: 4 pixels of 32."""

AUGMENTED = 65_536
"""Images that a GPU augments at once at most."""


@dataclass(frozen=True)
class Images:
    """uint8 ``pixels`` [N, C, H, W] and int64 ``labels`` [N] on one device."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Images:
        """The same images on another device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def take(self, index: Tensor) -> Images:
        """The images at ``index``."""
        return Images(self.pixels[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """A source of labelled images: a batch is a pair of normalised images [B, C, H, W] and labels [B].

    ``mean`` and ``std`` are of pixels scaled to [0, 1], one value a channel; ``augment`` is none, crop,
    flip or crop+flip; ``fingerprint`` changes when the images or their split do.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: str
    fingerprint: str

    @property
    def channels(self) -> int:
        return self.train.pixels.shape[1]

    @property
    def size(self) -> int:
        return self.train.pixels.shape[2]

    def to(self, device: torch.device) -> Dataset:
        """The same data on another device."""
        return replace(
            self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device)
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> float32, channels-last, zero mean and unit variance a channel."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        floats = pixels.to(torch.float32, memory_format=torch.channels_last)
        return floats.mul_(1 / (255 * std)).sub_(mean / std)

    @property
    def device(self) -> torch.device:
        return self.train.labels.device

    def split(self, name: str) -> Images:
        """The images of ``train``, ``validation`` or ``test``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def length(self, split: str) -> int:
        return len(self.split(split))

    def batches(self, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of a split in order, normalised, not augmented."""
        return self.of(self.split(split), batch_size)

    def chosen(self, split: str, index: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of a split at ``index``."""
        return self.of(self.split(split).take(index), batch_size)

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``count`` training images in random order (all, if there are fewer)."""
        index = torch.randperm(len(self.train), generator=generator)[:count]
        return self.chosen("train", index.to(self.device), batch_size)

    def of(self, images: Images, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images in their order, normalised."""
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalised(images.pixels[part]), images.labels[part]

    def example(self) -> Tensor:
        """One image, all zeros."""
        return torch.zeros(1, *self.train.pixels.shape[1:])

    def description(self) -> dict[str, Any]:
        """How a saved network is fed, and what its outputs mean."""
        return {"data": self.name, "mean": self.mean, "std": self.std, "classes": self.classes}

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training images, shuffled and augmented; the last incomplete batch is left out."""
        count = len(self.train)
        batch_size = min(batch_size, count)
        device = self.device
        order = torch.randperm(count, generator=generator)
        pad = max(1, round(self.size * CROP_PADDING)) if "crop" in self.augment else 0
        shifts = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
        flips = torch.rand(count, generator=generator) < (0.5 if "flip" in self.augment else 0.0)
        order, shifts, flips = order.to(device), shifts.to(device), flips.to(device)
        count -= count % batch_size
        chunk = at_once(device, batch_size)
        for first in range(0, count, chunk):
            part = slice(first, min(first + chunk, count))
            images = self.train.take(order[part])
            pixels = crop(images.pixels, shifts[:, part], pad) if pad else images.pixels
            if "flip" in self.augment:
                pixels = torch.where(flips[part].view(-1, 1, 1, 1), pixels.flip(3), pixels)
            yield from self.of(Images(pixels, images.labels), batch_size)


def at_once(device: torch.device, batch_size: int) -> int:
    """Images to augment at once: on a GPU an epoch in a few kernels, on a CPU a batch, which stays in its caches."""
    return batch_size if device.type == "cpu" else max(1, AUGMENTED // batch_size) * batch_size


def crop(pixels: Tensor, shifts: Tensor, pad: int) -> Tensor:
    """Shift each image [B, C, H, W] by ``shifts`` [2, B] in [0, 2 * pad]; ``pad`` leaves it where it is.

    Zeros (black) move in, as with ``torchvision.transforms.RandomCrop``.
    """
    size = pixels.shape[-2:]
    windows = F.pad(pixels, (pad, pad, pad, pad)).unfold(2, size[0], 1).unfold(3, size[1], 1)
    index = torch.arange(len(pixels), device=pixels.device)
    return windows[index, :, shifts[0], shifts[1]]
