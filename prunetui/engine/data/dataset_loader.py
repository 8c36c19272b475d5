"""Images with labels, as they were read, -> ``Dataset``: fitted to a network, limited, split, normalised."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from prunetui import config
from prunetui.config.schema import StatisticsTable
from prunetui.data.lazy_images import LazyImages, digests_of
from prunetui.data.tree.wanted import Note, Wanted, label_map, with_channels, with_size
from prunetui.engine.data.contributed import Labels, Pixels, Raw, Split
from prunetui.engine.data.images import Dataset, Images
from prunetui.engine.data.split import Drawn, draw
from prunetui.engine.data.streamed_images import StreamedDataset, StreamedImages
from prunetui.errors import DataError
from prunetui.files.image_tree import listed
from prunetui.files.paths import shown
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.own_files import short

IMAGENET = StatisticsTable(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
Part = Images | StreamedImages


def image_dataset(raw: Raw, data: config.DataTable, note: Note, wanted: Wanted) -> Dataset | StreamedDataset:
    """Images with labels as a study uses them; ``wanted`` is what a network takes that is there already.

    Raises:
        DataError: they are too few, or do not fit the network or the settings.
    """
    raw = _fitted(raw, data, note, wanted)
    (pixels, labels), (test_pixels, test_labels) = raw.train, raw.test
    drawn = draw(labels, test_labels, data.limit, data.validation if raw.validation is None else 0.0)
    _check_enough(data, drawn, training=wanted.classes is None, held_out=raw.validation is None)
    train = _taken(pixels, labels, drawn.kept)
    mean, std = statistics(train, data.normalize)
    test = _taken(test_pixels, test_labels, drawn.test)
    _tell_classes(raw.classes, train, test, data, note, wanted)
    whole = [_taken(pixels, labels, drawn.train), test, *([_all(raw.validation)] if raw.validation else [])]
    lazy = any(isinstance(split[0], LazyImages) for split in raw.splits)
    make: Any = StreamedDataset if lazy else Dataset
    found: Dataset | StreamedDataset = make(
        name=data.name,
        classes=raw.classes,
        train=train,
        validation=_validation(raw, data, drawn, note),
        test=test,
        mean=mean,
        std=std,
        augment=_augmentation(data),
        fingerprint=_fingerprint(whole),
    )
    return found


def _validation(raw: Raw, data: config.DataTable, drawn: Drawn, note: Note) -> Part:
    """The images for choices: the data set's own, or those held out of training."""
    if raw.validation is None:
        return _taken(*raw.train, drawn.held)
    if not data.validation:
        note("info", f"{short(data.name)}: its validation split is not used: data.validation = 0")
        return _taken(*raw.validation, drawn.held[:0])
    note("info", f"{short(data.name)}: its own validation split is used; no training images are held out")
    return _all(raw.validation)


def _augmentation(data: config.DataTable) -> str:
    own: str = contribution("data", data.name).given.get("augment", "none")
    return own if data.augment == "auto" else data.augment


def _check_enough(data: config.DataTable, drawn: Drawn, training: bool, held_out: bool) -> None:
    if (training and len(drawn.kept) < 2) or not len(drawn.test):
        raise DataError(f"{short(data.name)}: {len(drawn.kept)} training and {len(drawn.test)} test images are too few")
    if training and held_out and data.validation and not len(drawn.held):
        raise DataError(
            f"data.validation = {data.validation:g} of {len(drawn.train)} training images is none, or would "
            "take a class out of training; hold out more, use more images, or set it to 0"
        )


def _tell_classes(
    classes: tuple[str, ...], train: Part, test: Part, data: config.DataTable, note: Note, wanted: Wanted
) -> None:
    """Say which classes have no images where that is doubtful, or came of a limit."""
    count = len(classes)
    tested = set(test.labels.tolist())
    if wanted.classes is not None:
        if len(tested) < count:
            note(
                "info",
                f"test images are of {len(tested)} of the network's {count} classes; its answers are over all of them",
            )
        return
    trained = set(train.labels.tolist())
    if count == 1:
        note("warning", f"all images are of one class, {shown(classes[0])}: every accuracy will be 100 %")
    if len(trained) < count and data.limit is not None:
        note("info", f"data.limit = {data.limit} draws {len(trained)} of {count} classes, the same in both splits")
    untested = [classes[label] for label in sorted(trained - tested)]
    if untested:
        note("warning", f"{len(untested)} of {len(trained)} classes have no test images: {listed(untested)}")


def statistics(train: Part, normalize: str | StatisticsTable) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Raises:
        DataError: given statistics have another number of channels than the images.
    """
    channels = train.shape[0]
    if normalize == "auto":
        if not len(train):
            raise DataError("there are no training images to measure mean and deviation of: set data.normalize")
        return _measured(train)
    if normalize == "half":
        return (0.5,) * channels, (0.5,) * channels
    given = IMAGENET if normalize == "imagenet" else normalize
    assert isinstance(given, StatisticsTable)
    if not len(given.mean) == len(given.std) == channels:
        found = f"{len(given.mean)} means and {len(given.std)} deviations"
        raise DataError(f"data.normalize has {found}, the images {channels} channels")
    return given.mean, given.std


def _measured(images: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation from whole sums, so that they are the same wherever the images lie."""
    means, deviations = [], []
    pixels = len(images) * images.shape[1] * images.shape[2]
    for total, squares in _sums(images):
        means.append(total / (255 * pixels))
        variance = (pixels * squares - total**2) / (255 * pixels) ** 2
        deviations.append(max(math.sqrt(variance), 1e-6))
    return tuple(means), tuple(deviations)


def _sums(images: Part) -> list[tuple[int, int]]:
    """The sum of each channel's levels, and of their squares."""
    if isinstance(images, StreamedImages):
        return [(int(total), int(squares)) for total, squares in images.lazy.sums()]
    found, levels = [], torch.arange(256)
    for channel in images.pixels.unbind(1):  # by a histogram: no copy of the images in wider numbers
        parts = [torch.bincount(part.flatten(), minlength=256) for part in torch.split(channel, 4096)]
        counts = torch.stack(parts).sum(0)
        found.append((int((counts * levels).sum()), int((counts * levels.square()).sum())))
    return found


def _fitted(raw: Raw, data: config.DataTable, note: Note, wanted: Wanted) -> Raw:
    """The images as a network takes them: classes matched by name, then size and channels; says what was changed."""
    name = short(data.name)
    if wanted.classes is not None and raw.classes != wanted.classes:
        index = label_map(raw.classes, wanted.classes, name)
        raw = replace(raw.mapped(_same, lambda labels: index[labels]), classes=wanted.classes)
    size = data.size or wanted.size
    found, high, wide = raw.test[0].shape[1:]
    if size and (size, size) != (high, wide):
        note("info", f"{name}: images were resized from {high} x {wide} to {size} x {size}")
        raw = raw.mapped(lambda pixels: with_size(pixels, size), _same)
    elif high != wide:
        raise DataError(f"{name}: images are {high} x {wide}, and networks here take square ones: set data.size")
    if channels := wanted.channels if wanted.channels != found else None:
        raw = raw.mapped(lambda pixels: _in_channels(pixels, channels), _same)
        became = "grey images became RGB" if channels == 3 else "coloured images became grey"
        note("info", f"{name}: {became}, because the network takes {channels} channels")
    return raw


def _in_channels(pixels: Pixels | LazyImages, channels: int) -> Pixels | LazyImages:
    return pixels.in_channels(channels) if isinstance(pixels, LazyImages) else with_channels(pixels, channels)


def _same(values: Any) -> Any:
    return values


def _taken(pixels: Pixels | LazyImages, labels: Labels, index: Labels) -> Part:
    """The images at an ascending index; all of them are not copied."""
    if isinstance(pixels, LazyImages):
        return StreamedImages(pixels.take(index), torch.from_numpy(labels[index]))
    chosen, theirs = (pixels, labels.copy()) if len(index) == len(labels) else (pixels[index], labels[index])
    return Images(torch.from_numpy(np.ascontiguousarray(chosen)), torch.from_numpy(theirs))


def _all(split: Split) -> Part:
    return _taken(*split, np.arange(len(split[1])))


def _fingerprint(parts: Sequence[Part]) -> str:
    """Of shapes, labels and a digest of each image: the same wherever the images lie."""
    hashed = hashlib.sha256()
    for part in parts:
        digests = part.lazy.look.digests if isinstance(part, StreamedImages) else digests_of(part.pixels.numpy())
        hashed.update(f"{len(part)} {part.shape}".encode())
        hashed.update(np.ascontiguousarray(digests).data)
        hashed.update(part.labels.numpy().data)
    return hashed.hexdigest()[:16]
