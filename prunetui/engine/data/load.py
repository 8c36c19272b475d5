"""A study's [data] table -> ``Dataset``: read, limit, split, normalise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from prunetui import config
from prunetui.config.schema import Statistics
from prunetui.engine.data import folder, public
from prunetui.engine.data.images import Dataset, Images
from prunetui.engine.data.split import stratified
from prunetui.errors import DataError

Report = Callable[[str, int, int], None]
"""Told ``(what is going on, done, total)``."""

AUGMENT = {
    "digits": "crop",
    "cifar10": "crop+flip",
    "cifar100": "crop+flip",
    "svhn": "crop",
    "fashion-mnist": "crop+flip",
    "folder": "crop+flip",
}
IMAGENET = Statistics(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SPLIT_SEED = 0
"""The split is part of the data, not of a repetition: all seeds see the same one."""


@dataclass(frozen=True)
class Raw:
    """uint8 images [N, C, H, W] and labels [N] of the training and the test split, as read."""

    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]]
    classes: tuple[str, ...]


def quiet(what: str, done: int, total: int) -> None:
    """A report nobody listens to."""


def load_dataset(data: config.Data, report: Report = quiet) -> Dataset:
    """Read the data of a study onto the CPU.

    Raises:
        DataError: it is missing, cannot be downloaded or is corrupt; says what to do.
    """
    raw = _read(data, report)
    train_pixels, train_labels = _limited(*raw.train, data.limit)
    test_pixels, test_labels = _limited(*raw.test, data.limit)
    held, kept = stratified(train_labels, round(data.validation * len(train_labels)), SPLIT_SEED)
    if len(kept) < 2 or not len(test_labels):
        raise DataError(f"{data.name}: {len(kept)} training and {len(test_labels)} test images are too few")
    if data.validation and not len(held):
        raise DataError(
            f"data.validation = {data.validation:g} of {len(train_labels)} training images is none; "
            "hold out more, use more images, or set it to 0"
        )
    train = _images(train_pixels[kept], train_labels[kept])
    mean, std = statistics(train, data.normalize)
    return Dataset(
        name=data.name,
        classes=raw.classes,
        train=train,
        validation=_images(train_pixels[held], train_labels[held]),
        test=_images(test_pixels, test_labels),
        mean=mean,
        std=std,
        augment=AUGMENT[data.name] if data.augment == "auto" else data.augment,
        fingerprint=_fingerprint(train_pixels, train_labels, test_pixels, test_labels),
    )


def statistics(train: Images, normalize: str | Statistics) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Raises:
        DataError: given statistics have another number of channels than the images.
    """
    channels = train.pixels.shape[1]
    if normalize == "auto":
        return _measured(train)
    if normalize == "half":
        return (0.5,) * channels, (0.5,) * channels
    given = IMAGENET if normalize == "imagenet" else normalize
    assert isinstance(given, Statistics)
    if not len(given.mean) == len(given.std) == channels:
        found = f"{len(given.mean)} means and {len(given.std)} deviations"
        raise DataError(f"data.normalize has {found}, the images {channels} channels")
    return given.mean, given.std


def _measured(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Exact mean and deviation from a histogram of the 256 grey levels; no copy of the images in float."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.pixels.unbind(1):
        parts = [torch.bincount(part.flatten(), minlength=256) for part in torch.split(channel, 4096)]
        share = torch.stack(parts).sum(0).double() / channel.numel()
        mean = (share * levels).sum()
        means.append(float(mean))
        deviations.append(max(float((share * (levels - mean).square()).sum().sqrt()), 1e-6))
    return tuple(means), tuple(deviations)


def _read(data: config.Data, report: Report) -> Raw:
    root = Path(data.root).expanduser()
    if data.name == "digits":
        return Raw(*public.digits())
    if data.name == "folder":
        return Raw(*folder.read(root, data.size, data.corrupt == "skip", report))
    return Raw(*public.read(data.name, root, report))


def _limited(
    pixels: NDArray[np.uint8], labels: NDArray[np.int64], limit: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if limit is None or limit >= len(labels):
        return pixels, labels
    chosen, _ = stratified(labels, limit, SPLIT_SEED)
    return pixels[chosen], labels[chosen]


def _images(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Images:
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(labels.copy()))


def _fingerprint(*arrays: NDArray[np.uint8] | NDArray[np.int64]) -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(str(array.shape).encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()[:16]
