"""What a data set's function returns, checked and brought into one form: uint8 images and int64 labels."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunetui.api import Splits
from prunetui.data.tree.wanted import Note
from prunetui.errors import DataError, PrunetuiError
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.import_file import load_object
from prunetui.plugins.own_files import short

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Split = tuple[Pixels, Labels]
FORMS = "a pair of images [N, C, H, W] and labels [N], or a dataset with a length and items (image, label)"


@dataclass(frozen=True)
class Raw:
    """uint8 images [N, C, H, W] and labels [N] of each split, as read."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    validation: Split | None = None

    def mapped(self, pixels: Callable[[Pixels], Pixels], labels: Callable[[Labels], Labels]) -> Raw:
        """The same with all images and all labels changed."""
        train, test, *rest = (
            (pixels(split[0]), labels(split[1])) for split in (self.train, self.test, self.validation) if split
        )
        return replace(self, train=train, test=test, validation=rest[0] if rest else None)


def read_contributed(name: str, supplied: Mapping[str, Any], options: Mapping[str, Any], note: Note) -> Raw:
    """The images of a data set; ``supplied`` are the values that its function may ask for.

    Raises:
        DataError: it cannot be read, or is nothing that can be trained on.
    """
    about = contribution("data", name)
    make = load_object(about)
    given = {key: value for key, value in supplied.items() if key in about.takes}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for data
            made = make(**given, **options)
    except PrunetuiError:
        raise
    except Exception as error:
        if about.origin == "built-in":
            raise
        raise DataError(f"the data set {name} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(made, Splits):
        raise DataError(f"the data set {name} returned {type(made).__name__}; it must return prunetui.api.Splits")
    return _checked(made, short(name), note)


def _checked(made: Splits, name: str, note: Note) -> Raw:
    train, test = _split(made.train, f"{name}, train", note), _split(made.test, f"{name}, test", note)
    validation = None if made.validation is None else _split(made.validation, f"{name}, validation", note)
    splits = [split for split in (train, test, validation) if split is not None]
    shapes = {split[0].shape[1:] for split in splits if len(split[0])}
    if len(shapes) > 1:
        raise DataError(f"the splits of {name} have images of {len(shapes)} shapes: {sorted(shapes)}")
    most = max((int(split[1].max()) for split in splits if len(split[1])), default=-1)
    least = min((int(split[1].min()) for split in splits if len(split[1])), default=0)
    classes = tuple(map(str, made.classes if made.classes is not None else range(most + 1)))
    if least < 0 or most >= len(classes):
        raise DataError(f"the labels of {name} go from {least} to {most}; with {len(classes)} classes, from 0 on")
    return Raw(train, test, classes, validation)


def _split(given: Any, where: str, note: Note) -> Split:
    if isinstance(given, tuple | list) and len(given) == 2 and hasattr(given[0], "shape"):
        images, labels = _array(given[0]), _array(given[1])
    elif isinstance(given, Sized) and hasattr(given, "__getitem__"):
        images, labels = _collected(given, where)
    else:
        raise DataError(f"{where}: a split is {FORMS}; this is {type(given).__name__}")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or labels.shape != (len(images),):
        raise DataError(f"{where}: images are {list(images.shape)} and labels {list(labels.shape)}; a split is {FORMS}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {labels.dtype}; a label is the whole number of its class")
    return _levels(images, where, note), labels.astype(np.int64)


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _collected(dataset: Any, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """All items of a map-style dataset, which are of one shape."""
    images: list[NDArray[Any]] = []
    labels: list[int] = []
    for i in range(len(dataset)):
        item = dataset[i]
        if not isinstance(item, Sequence) or len(item) != 2:
            raise DataError(f"{where}: item {i} is {type(item).__name__}; an item is (image, label)")
        image = _image(item[0])
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{where}: image {i} is {list(image.shape)}, the first {list(images[0].shape)}; bring them to one size"
            )
        images.append(image)
        labels.append(int(item[1]))
    if not images:
        raise DataError(f"{where}: it has no items")
    return np.stack(images), np.asarray(labels, dtype=np.int64)


def _image(image: Any) -> NDArray[Any]:
    """An image as [C, H, W]; Pillow's have the channels last."""
    if hasattr(image, "getbands"):
        pixels = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    array = _array(image)
    return array[None] if array.ndim == 2 else array


def _levels(images: NDArray[Any], where: str, note: Note) -> Pixels:
    """The images as uint8: they are kept so, and normalised when they are used."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(f"{where}: images are {images.dtype}; they are uint8, or floats in [0, 1]")
    if images.size:
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"{where}: images are floats from {low:g} to {high:g}; they are uint8, or floats in [0, 1], not "
                "normalised yet (data.normalize does that)"
            )
    note("info", f"{where}: images of floats are kept in 256 levels")
    return np.asarray((images * 255).round(), dtype=np.uint8)
