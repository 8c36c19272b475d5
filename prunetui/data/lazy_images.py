"""Images that are not in memory: what is known of them after one look at each, and reading them again. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from prunetui.data.tree.wanted import Note, with_channels

Index = NDArray[np.int64]
Pixels = NDArray[np.uint8]
DIGEST_BYTES = 16
FREE_SHARE = 4
"""Images that take more than this part of the free memory are streamed, where a study leaves it open."""
L = TypeVar("L", bound="LazyImages")


class Look(NamedTuple):
    """What is kept of images [N, C, H, W] that were looked at."""

    digests: NDArray[np.uint8]
    """Of each image's content [N, 16]."""
    sums: NDArray[np.int64]
    """Sums of levels and of their squares [N, channels, 2]; of RGB a fourth channel is grey."""


def look_at(pixels: Pixels) -> Look:
    """What is kept of images."""
    shown = np.concatenate([pixels, with_channels(pixels, 1)], 1) if pixels.shape[1] == 3 else pixels
    flat = shown.reshape(*shown.shape[:2], -1)
    squares = np.square(flat, dtype=np.uint16).sum(2, dtype=np.int64)
    return Look(digests_of(pixels), np.stack([flat.sum(2, dtype=np.int64), squares], 2))


def digests_of(pixels: Pixels) -> NDArray[np.uint8]:
    """A digest of each image [N, C, H, W]: that of a grey one is that of the same in RGB."""
    found = np.empty((len(pixels), DIGEST_BYTES), dtype=np.uint8)
    for i, image in enumerate(pixels):
        content = np.ascontiguousarray(image if len(image) > 1 else image.repeat(3, axis=0))
        found[i] = np.frombuffer(blake2b(content.data, digest_size=DIGEST_BYTES).digest(), dtype=np.uint8)
    return found


@dataclass(frozen=True)
class LazyImages(ABC):
    """Images of one shape that are made when they are used, the same ones every time."""

    index: Index
    """Which of those that can be read, in their order."""
    channels: int
    side: int
    look: Look
    """Of the images at ``index``, as they are read before their channels are converted."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As that of an array [N, C, H, W]."""
        return len(self), self.channels, self.side, self.side

    def take(self: L, chosen: Index) -> L:
        """Some of them."""
        look = Look(self.look.digests[chosen], self.look.sums[chosen])
        return replace(self, index=self.index[chosen], look=look)

    def in_channels(self: L, channels: int) -> L:
        """The same in grey (1) or RGB (3)."""
        with_channels(
            np.zeros((0, self.channels, 1, 1), dtype=np.uint8), channels
        )  # whether there is such a conversion
        return replace(self, channels=channels)

    def sums(self) -> NDArray[np.int64]:
        """Sums of levels and of their squares over all images [C, 2]."""
        every: NDArray[np.int64] = self.look.sums.sum(0)
        found = self.look.sums.shape[1]
        if self.channels == 1 and found == 4:
            return every[3:]
        return every[:1].repeat(3, axis=0) if (self.channels, found) == (3, 1) else every[: self.channels]

    def read(self, batches: Sequence[Index]) -> Iterator[Pixels]:
        """The images at one index after the other [B, C, H, W], made ahead; each index is into these images."""
        for pixels in self.made([self.index[batch] for batch in batches]):
            yield with_channels(pixels, self.channels)

    @abstractmethod
    def made(self, batches: Sequence[Index]) -> Iterator[Pixels]:
        """The images at places among all that can be read, before their channels are converted."""


@dataclass(frozen=True)
class Streaming:
    """What a study says of images that are not kept in memory."""

    memory: str = "device"
    """``auto``, ``device`` or ``stream``."""
    workers: int = 0
    """Processes that make images ahead; none makes them in this one."""
    note: Note | None = None

    def chosen(self, name: str, count: int, bytes_each: int) -> bool:
        """Whether images are streamed; says so where a study leaves it open."""
        if self.memory != "auto":
            return self.memory == "stream"
        import psutil

        taken, free = count * bytes_each, int(psutil.virtual_memory().available)
        if taken * FREE_SHARE <= free:
            return False
        if self.note:
            self.note(
                "info",
                f"{name}: images are streamed: {count:,} take {taken / 1e9:.1f} GB, more than a quarter of the "
                f"{free / 1e9:.1f} GB of memory that are free (data.memory)",
            )
        return True


T = TypeVar("T")


def joined(parts: Iterable[Look]) -> Look:
    """Looks at parts of a set, in their order, as one."""
    digests, sums = zip(*parts, strict=True)
    return Look(np.concatenate(digests), np.concatenate(sums))


def ahead(submit: Callable[[T], Any], jobs: Iterable[T], most: int) -> Iterator[Any]:
    """Results of jobs in their order, of which ``most`` are under way; those that nobody waits for are called off."""
    waiting: list[Any] = []
    try:
        for job in jobs:
            waiting.append(submit(job))
            if len(waiting) >= most:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
