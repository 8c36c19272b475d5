"""A source of labelled images that are made when they are used: batches come ahead of the device that computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prunetui.data.lazy_images import LazyImages
from prunetui.engine.data.images import Images, ImageSource, Shape


@dataclass(frozen=True)
class StreamedImages:
    """Images that are read again and again, and their labels [N] on the device."""

    lazy: LazyImages
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """Channels, height and width."""
        _, channels, height, width = self.lazy.shape
        return channels, height, width

    def to(self, device: torch.device) -> StreamedImages:
        """The same images, given on another device."""
        return replace(self, labels=self.labels.to(device))

    def chunk(self, batch_size: int) -> int:
        """One batch: more would only lie about."""
        return batch_size

    def parts(self, indices: Sequence[Tensor]) -> Iterator[Images]:
        """The images at one index after the other, on the device; through pinned memory to a GPU."""
        device = self.labels.device
        read = self.lazy.read([index.cpu().numpy() for index in indices])
        for index, found in zip(indices, read, strict=True):
            pixels = torch.from_numpy(found)
            pixels = pixels.pin_memory() if device.type == "cuda" else pixels
            yield Images(pixels.to(device, non_blocking=True), self.labels[index.to(device)])

    def in_order(self, batch_size: int) -> Iterator[Images]:
        """All images, a batch after the other."""
        return self.parts(torch.split(torch.arange(len(self)), batch_size) if len(self) else [])


class StreamedDataset(ImageSource[StreamedImages]):
    """Labelled images that do not lie in memory; they are given in order only, so that no figures keep all outputs."""
