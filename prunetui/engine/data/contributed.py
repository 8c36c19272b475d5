"""What a data set's function returns; images with labels checked and brought into one form: uint8 and int64."""

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
from prunetui.data.lazy_images import LazyImages, Streaming
from prunetui.data.tree.wanted import Note
from prunetui.engine.data.item_images import item_images
from prunetui.errors import DataError, PrunetuiError
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.import_file import load_object
from prunetui.plugins.own_files import short

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Split = tuple[Pixels | LazyImages, Labels]
FORMS = "a pair of images [N, C, H, W] and labels [N], or a dataset with a length and items (image, label)"
OTHERS = "examples of any other kind are Splits(..., prepared=True), and go to the network as they are"


@dataclass(frozen=True)
class Raw:
    """uint8 images [N, C, H, W] and labels [N] of each split, as read: in memory, or made when they are used."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    validation: Split | None = None

    @property
    def splits(self) -> tuple[Split, ...]:
        """Those that are there."""
        return tuple(split for split in (self.train, self.test, self.validation) if split)

    def mapped(self, pixels: Callable[[Any], Any], labels: Callable[[Labels], Labels]) -> Raw:
        """The same with all images and all labels changed."""
        train, test, *rest = (
            (pixels(split[0]), labels(split[1])) for split in (self.train, self.test, self.validation) if split
        )
        return replace(self, train=train, test=test, validation=rest[0] if rest else None)


def made_splits(name: str, supplied: Mapping[str, Any], options: Mapping[str, Any]) -> Splits:
    """What the function of a data set returns; ``supplied`` are the values that it may ask for.

    Raises:
        DataError: it cannot be read, or returns something else.
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
    return made


@dataclass(frozen=True)
class _Reading:
    """How images are read: whether they may be streamed, to which side then, and who is told."""

    streaming: Streaming
    size: int | None
    note: Note


def images_and_labels(made: Splits, name: str, note: Note, streaming: Streaming, size: int | None) -> Raw:
    """The images of splits that are not prepared; streamed ones are brought to ``size`` at once, if there is one.

    Raises:
        DataError: they are nothing that can be trained on.
    """
    name = short(name)
    reading = _Reading(_decided(made, name, streaming, size), size, note)
    train, test = _split(made.train, f"{name}, train", reading), _split(made.test, f"{name}, test", reading)
    validation = None if made.validation is None else _split(made.validation, f"{name}, validation", reading)
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


def _decided(made: Splits, name: str, streaming: Streaming, size: int | None) -> Streaming:
    """Whether the map-style datasets among the splits are streamed, all or none.

    Raises:
        DataError: they are to be, and there are none.
    """
    given = [split for split in (made.train, made.test, made.validation) if split is not None]
    items = [split for split in given if _is_items(split) and len(split)]
    lazy = any(_is_pair(split) and isinstance(split[0], LazyImages) for split in given)
    if not items:
        if streaming.memory == "stream" and not lazy:
            raise DataError(f"{name}: its images are in memory already, and data.memory = stream: leave it out")
        return Streaming("device")
    image = _pixels_and_label(items[0][0], f"{name}: item 0")[0]
    bytes_each = len(image) * size**2 if size else image.size
    chosen = streaming.chosen(name, sum(map(len, items)), bytes_each)
    return Streaming("stream" if chosen else "device", streaming.workers)


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple | list) and len(given) == 2 and hasattr(given[0], "shape")


def _is_items(given: Any) -> bool:
    return not _is_pair(given) and isinstance(given, Sized) and hasattr(given, "__getitem__")


def _split(given: Any, where: str, reading: _Reading) -> Split:
    if _is_pair(given) and isinstance(given[0], LazyImages):
        return given[0], given[1]
    if _is_items(given) and reading.streaming.memory == "stream":
        return item_images(given, _pixels_and_label, reading.size, reading.streaming.workers, where)
    if _is_pair(given):
        images, labels = _array(given[0]), _array(given[1])
    elif _is_items(given):
        images, labels = _collected(given, where)
    else:
        raise DataError(f"{where}: a split is {FORMS}; this is {type(given).__name__}. {OTHERS}")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or labels.shape != (len(images),):
        raise DataError(
            f"{where}: images are {list(images.shape)} and labels {list(labels.shape)}; a split is {FORMS}. {OTHERS}"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {labels.dtype}; a label is the whole number of its class. {OTHERS}")
    if images.dtype.kind == "f":
        reading.note("info", f"{where}: images of floats are kept in 256 levels")
    return _levels(images, where), labels.astype(np.int64)


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _collected(dataset: Any, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """All items of a map-style dataset, which are of one shape."""
    images: list[NDArray[Any]] = []
    labels: list[int] = []
    for i in range(len(dataset)):
        image, label = _image_and_label(dataset[i], f"{where}: item {i}")
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{where}: image {i} is {list(image.shape)}, the first {list(images[0].shape)}; bring them to one size"
            )
        images.append(image)
        labels.append(label)
    if not images:
        raise DataError(f"{where}: it has no items")
    return np.stack(images), np.asarray(labels, dtype=np.int64)


def _image_and_label(item: Any, where: str) -> tuple[NDArray[Any], int]:
    if not isinstance(item, Sequence) or len(item) != 2:
        raise DataError(f"{where} is {type(item).__name__}; an item is (image, label). {OTHERS}")
    try:
        return _image(item[0]), int(item[1])
    except (TypeError, ValueError):
        raise DataError(f"{where} has the label {type(item[1]).__name__}; one is a whole number. {OTHERS}") from None


def _pixels_and_label(item: Any, where: str) -> tuple[Pixels, int]:
    """The image of an item as uint8 [C, H, W], and its label."""
    image, label = _image_and_label(item, where)
    if image.ndim != 3:
        raise DataError(f"{where} is an image {list(image.shape)}; one is [C, H, W]. {OTHERS}")
    return _levels(image, where), label


def _image(image: Any) -> NDArray[Any]:
    """An image as [C, H, W]; Pillow's have the channels last."""
    if hasattr(image, "getbands"):
        pixels = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    array = _array(image)
    return array[None] if array.ndim == 2 else array


def _levels(images: NDArray[Any], where: str) -> Pixels:
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
    return np.asarray((images * 255).round(), dtype=np.uint8)
