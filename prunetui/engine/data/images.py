"""Sources of labelled images, and those that lie in memory, on the device that computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from prunetui.engine.data.augment import drawn

AUGMENTED = 65_536
"""Images that a GPU augments at once at most."""
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Images:
    """``pixels`` [N, C, H, W] from 0 to 255, uint8 but after a resize on a GPU, and int64 ``labels`` [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """Channels, height and width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def to(self, device: torch.device) -> Images:
        """The same images on another device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def take(self, index: Tensor) -> Images:
        """The images at ``index``."""
        return Images(self.pixels[index], self.labels[index])

    def chunk(self, batch_size: int) -> int:
        """How many images are taken at once."""
        return at_once(self.labels.device, batch_size)

    def parts(self, indices: Sequence[Tensor]) -> Iterator[Images]:
        """The images at one index after the other."""
        for index in indices:
            yield self.take(index.to(self.labels.device))

    def in_order(self, batch_size: int) -> Iterator[Images]:
        """All images, a batch after the other, not copied."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield Images(self.pixels[part], self.labels[part])


class ImageSplit(Protocol):
    """The images of a split, wherever they lie."""

    @property
    def labels(self) -> Tensor: ...
    @property
    def shape(self) -> Shape: ...
    def __len__(self) -> int: ...
    def to(self, device: torch.device) -> Any: ...
    def chunk(self, batch_size: int) -> int: ...
    def parts(self, indices: Sequence[Tensor]) -> Iterator[Images]: ...
    def in_order(self, batch_size: int) -> Iterator[Images]: ...


AnySplit = TypeVar("AnySplit", bound=ImageSplit)


@dataclass(frozen=True)
class ImageSource(Generic[AnySplit]):
    """A source of labelled images: a batch is a pair of normalised images [B, C, H, W] and labels [B].

    ``mean`` and ``std`` are of pixels scaled to [0, 1], one value a channel; ``augment`` is none, crop, flip, crop+flip
    or resized-crop+flip; ``fingerprint`` changes when the images or their split do. What comes out does not depend on
    where the images lie.
    """

    name: str
    classes: tuple[str, ...]
    train: AnySplit
    validation: AnySplit
    test: AnySplit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: str
    fingerprint: str

    @property
    def channels(self) -> int:
        return self.train.shape[0]

    @property
    def size(self) -> int:
        return self.train.shape[1]

    def to(self, device: torch.device) -> Any:
        """The same data on another device."""
        train, validation, test = (split.to(device) for split in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Levels [B, C, H, W] -> float32, channels-last, zero mean and unit variance a channel."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        floats = pixels.to(torch.float32, memory_format=torch.channels_last, copy=True)
        return floats.mul_(1 / (255 * std)).sub_(mean / std)

    @property
    def device(self) -> torch.device:
        return self.train.labels.device

    def split(self, name: str) -> AnySplit:
        """The images of ``train``, ``validation`` or ``test``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def length(self, split: str) -> int:
        return len(self.split(split))

    def batches(self, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of a split in order, normalised, not augmented."""
        for images in self.split(split).in_order(batch_size):
            yield self.normalised(images.pixels), images.labels

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``count`` training images in random order (all, if there are fewer)."""
        index = torch.randperm(len(self.train), generator=generator)[:count]
        for images in self.train.parts(torch.split(index, batch_size)):
            yield self.normalised(images.pixels), images.labels

    def example(self) -> tuple[Tensor, Tensor]:
        """One image, all zeros, of the first class."""
        return torch.zeros(1, *self.train.shape), torch.zeros(1, dtype=torch.int64)

    def description(self) -> dict[str, Any]:
        """How a saved network is fed, and what its outputs mean."""
        return {"data": self.name, "mean": self.mean, "std": self.std, "classes": self.classes}

    def batches_in_epoch(self, batch_size: int) -> int:
        """How many batches ``epoch`` gives."""
        return max(1, len(self.train) // batch_size)

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training images, shuffled and augmented; the last incomplete batch is left out."""
        count = len(self.train)
        batch_size = min(batch_size, count)
        order = torch.randperm(count, generator=generator)
        augmentation = drawn(self.augment, count, self.size, generator, self.device)
        count -= count % batch_size
        chunk = self.train.chunk(batch_size)
        places = [slice(at, min(at + chunk, count)) for at in range(first * batch_size, count, chunk)]
        for place, images in zip(places, self.train.parts([order[place] for place in places]), strict=True):
            pixels = augmentation.apply(images.pixels, place)
            for batch in Images(pixels, images.labels).in_order(batch_size):
                yield self.normalised(batch.pixels), batch.labels


class Dataset(ImageSource[Images]):
    """Labelled images in memory; any of them can be had."""

    def chosen(self, split: str, index: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of a split at ``index``."""
        for part in torch.split(index, batch_size):
            images = self.split(split).take(part)
            yield self.normalised(images.pixels), images.labels


def at_once(device: torch.device, batch_size: int) -> int:
    """Images to augment at once: on a GPU an epoch in a few kernels, on a CPU a batch, which stays in its caches."""
    return batch_size if device.type == "cpu" else max(1, AUGMENTED // batch_size) * batch_size
