"""Labelled images of a map-style dataset that are asked for whenever they are used, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunetui.data.lazy_images import Index, LazyImages, Look, Pixels, look_at
from prunetui.data.tree.wanted import with_size
from prunetui.engine.data.failures import told
from prunetui.engine.data.item_stream import made_ahead
from prunetui.errors import DataError

LOOKED_AT = 64
"""Items that a worker looks at, at once."""
ReadItem = Callable[[Any, str], tuple[Pixels, int]]
"""An item as its image [C, H, W] and label; the text says which it is."""


@dataclass(frozen=True)
class ItemImages(LazyImages):
    """The images of a dataset's items, brought to one side."""

    dataset: Any
    read_item: ReadItem
    workers: int
    where: str

    def made(self, batches: Sequence[Index]) -> Iterator[Pixels]:
        """The images of the items at each index."""
        collate = partial(_pixels, read_item=self.read_item, side=self.side, where=self.where)
        for pixels in _batches(self.dataset, batches, collate, self.workers, self.where):
            yield pixels["pixels"].numpy()


def item_images(
    dataset: Any, read_item: ReadItem, size: int | None, workers: int, where: str
) -> tuple[ItemImages, NDArray[np.int64]]:
    """The images and labels of all items, each looked at once.

    Raises:
        DataError: there are none, or their images have several shapes and no ``size`` to be brought to.
    """
    every = np.arange(len(dataset))
    if not len(every):
        raise DataError(f"{where}: it has no items")
    first, _ = read_item(dataset[0], f"{where}: item 0")
    channels, high, wide = first.shape
    if size is None and high != wide:
        raise DataError(f"{where}: images are {high} x {wide}, and networks here take square ones: set data.size")
    collate = partial(_look, read_item=read_item, side=size or high, where=where)
    chunks = np.split(every, range(LOOKED_AT, len(every), LOOKED_AT))
    found = list(_batches(dataset, chunks, collate, workers, where))
    look = Look(*(torch.cat([part[name] for part in found]).numpy() for name in ("digests", "sums")))
    if len({part["pixels"].shape[1] for part in found} | {channels}) > 1:
        raise DataError(f"{where}: some images have other channels than the first, which has {channels}")
    images = ItemImages(every, channels, size or high, look, dataset, read_item, workers, where)
    return images, torch.cat([part["labels"] for part in found]).numpy()


def _batches(
    dataset: Any, indices: Sequence[Index], collate: Callable[..., Any], workers: int, where: str
) -> Iterator[dict[str, Tensor]]:
    """What is collated of the items at each index; each item is the same every time."""
    numbered = [[(i, i) for i in index.tolist()] for index in indices]
    return told(made_ahead(dataset, numbered, collate, workers), where)


def _pixels(items: list[Any], read_item: ReadItem, side: int, where: str) -> dict[str, Tensor]:
    images, labels = zip(*(read_item(item, where) for item in items), strict=True)
    shapes = {len(image) for image in images}
    if len(shapes) > 1:
        raise DataError(f"{where}: images have {len(shapes)} numbers of channels: {sorted(shapes)}")
    resized = [with_size(image[None], side) for image in images]
    return {"pixels": torch.from_numpy(np.concatenate(resized)), "labels": torch.tensor(labels)}


def _look(items: list[Any], read_item: ReadItem, side: int, where: str) -> dict[str, Tensor]:
    found = _pixels(items, read_item, side, where)
    digests, sums = look_at(found["pixels"].numpy())
    return {
        "pixels": found["pixels"][:0], "labels": found["labels"],
        "digests": torch.from_numpy(digests), "sums": torch.from_numpy(sums),
    }  # fmt: skip
