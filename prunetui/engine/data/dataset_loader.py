"""A study's [data] table -> ``Dataset``: read, limit, split, normalise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunetui import config
from prunetui.config.schema import StatisticsTable
from prunetui.data.tree.wanted import Note, Wanted, label_map, silent, with_channels, with_size
from prunetui.engine.data.contributed import Raw, read_contributed
from prunetui.engine.data.images import Dataset, Images
from prunetui.engine.data.split import Drawn, draw
from prunetui.errors import DataError
from prunetui.files.image_tree import listed
from prunetui.files.paths import shown, user_path
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.own_files import short

Report = Callable[[str, int, int], None]
"""Told ``(what is going on, done, total)``."""

IMAGENET = StatisticsTable(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
ANYTHING = Wanted()
"""A network that is built for the data takes whatever they are."""


def quiet(what: str, done: int, total: int) -> None:
    """No-op callback."""


def load_dataset(
    data: config.DataTable, report: Report = quiet, note: Note = silent, wanted: Wanted = ANYTHING
) -> Dataset:
    """Read the data of a study onto the CPU; ``wanted`` is what a network takes that is there already.

    Its classes give the labels, matched by name; its size holds where ``data.size`` says nothing. A network that knows
    its classes is not trained any more: training images may be few, or none.

    Raises:
        DataError: it is missing, cannot be downloaded, is corrupt or does not fit; says what to do.
    """
    raw = _fitted(_read(data, report, note, wanted), data, note, wanted)
    (pixels, labels), (test_pixels, test_labels) = raw.train, raw.test
    drawn = draw(labels, test_labels, data.limit, data.validation if raw.validation is None else 0.0)
    _check_enough(data, drawn, training=wanted.classes is None, held_out=raw.validation is None)
    train = _images(pixels[drawn.kept], labels[drawn.kept])
    mean, std = statistics(train, data.normalize)
    test = _images(*_taken(test_pixels, test_labels, drawn.test))
    _tell_classes(raw.classes, train, test, data, note, wanted)
    hashed = (*_taken(pixels, labels, drawn.train), test.pixels.numpy(), test.labels.numpy(), *(raw.validation or ()))
    return Dataset(
        name=data.name,
        classes=raw.classes,
        train=train,
        validation=_validation(raw, data, drawn, note),
        test=test,
        mean=mean,
        std=std,
        augment=_augmentation(data),
        fingerprint=_fingerprint(*hashed),
    )


def _validation(raw: Raw, data: config.DataTable, drawn: Drawn, note: Note) -> Images:
    """The images for choices: the data set's own, or those held out of training."""
    if raw.validation is None:
        return _images(raw.train[0][drawn.held], raw.train[1][drawn.held])
    if not data.validation:
        note("info", f"{short(data.name)}: its validation split is not used: data.validation = 0")
        return _images(raw.validation[0][:0], raw.validation[1][:0])
    note("info", f"{short(data.name)}: its own validation split is used; no training images are held out")
    return _images(*raw.validation)


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
    classes: tuple[str, ...], train: Images, test: Images, data: config.DataTable, note: Note, wanted: Wanted
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


def statistics(train: Images, normalize: str | StatisticsTable) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    Raises:
        DataError: given statistics have another number of channels than the images.
    """
    channels = train.pixels.shape[1]
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


def _read(data: config.DataTable, report: Report, note: Note, wanted: Wanted) -> Raw:
    supplied = {
        "root": user_path(data.root),
        "size": data.size,
        "skip_corrupt": data.corrupt == "skip",
        "wanted": wanted,
        "train_needed": wanted.classes is None or data.normalize == "auto",
        "report": report,
        "note": note,
    }
    return read_contributed(data.name, supplied, data.options or {}, note)


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
        raw = raw.mapped(lambda pixels: with_channels(pixels, channels), _same)
        became = "grey images became RGB" if channels == 3 else "coloured images became grey"
        note("info", f"{name}: {became}, because the network takes {channels} channels")
    return raw


def _same(values: Any) -> Any:
    return values


def _taken(
    pixels: NDArray[np.uint8], labels: NDArray[np.int64], index: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images at an ascending index; all of them are not copied."""
    return (pixels, labels) if len(index) == len(labels) else (pixels[index], labels[index])


def _images(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Images:
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(labels.copy()))


def _fingerprint(*arrays: NDArray[np.uint8] | NDArray[np.int64]) -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(str(array.shape).encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()[:16]
