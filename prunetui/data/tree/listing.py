"""The classes of an image tree and the files of its splits, each with its label, in a fixed order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prunetui.data.tree.wanted import Note, label_map, silent
from prunetui.errors import DataError
from prunetui.files.image_tree import (
    NAMED,
    LeftAlone,
    class_folders,
    class_name,
    flat_validation,
    images_in,
    listed,
    split_folders,
)
from prunetui.files.paths import image_suffixes, shown

Folders = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Listing:
    """The files of a split in a fixed order."""

    name: str
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    digest: str


@dataclass(frozen=True)
class Tree:
    """Both splits; ``train`` is None where no training images are there, or none are needed."""

    train: Listing | None
    test: Listing
    classes: tuple[str, ...]
    beside: Path | None = None
    """The training folder that was not listed."""


def list_tree(root: Path, wanted: Sequence[str] | None, note: Note, train_needed: bool = True) -> Tree:
    """The files of both splits. A network's classes, ``wanted``, give the labels; else the training folder's.

    Training images that are not needed, because the network is trained, are neither listed nor judged.

    Raises:
        DataError: the tree is not there or not of this form, or has classes that are not known.
    """
    splits = split_folders(root, wanted)
    for line in splits.notes:
        note("info", line)
    train = splits.train if train_needed else None
    folders = [(split, _folders(split, note)) for split in (train, splits.test) if split is not None]
    classes = tuple(wanted) if wanted is not None else tuple(folders[0][1])
    listings = []
    for split, found in folders:
        if wanted is None:
            _check_known(split, found, classes)
        label_of = dict(zip(found, _labels(split, found, classes), strict=True))
        listings.append(_list(split, found, label_of.__getitem__, note, every=wanted is None and split == train))
    return Tree(listings[0] if train else None, listings[-1], classes, None if train else splits.train)


def list_known(split: Path, classes: Sequence[str]) -> Listing | None:
    """The images of those classes of a split that a network knows, without labels; None if there are none."""
    known = {class_name(name) for name in classes}
    folders = {name: places for name, places in class_folders(split).items() if name in known}
    if not any(images_in(place) for places in folders.values() for place in places):
        return None
    return _list(split, folders, lambda _: 0, silent, every=False)


def _labels(split: Path, found: Folders, classes: Sequence[str]) -> list[int]:
    try:
        return [int(label) for label in label_map(tuple(found), classes, shown(split))]
    except DataError as error:
        raise DataError(flat_validation(split) or str(error)) from None


def _folders(split: Path, note: Note) -> Folders:
    left = LeftAlone()
    found = class_folders(split, left)
    for line in left.lines(split.name):
        note("info", line)
    for name, places in found.items():
        if len(places) > 1:
            same = "folders whose names differ in their Unicode form alone are one class"
            note("info", f"{split.name}: {shown(name)}: {len(places)} {same}")
    if not found:
        where = shown(split.absolute())
        raise DataError(
            flat_validation(split) or f"{where} has no class folders; images lie in {split.name}/<class>/<image>"
        )
    return found


def _check_known(split: Path, found: Folders, classes: Sequence[str]) -> None:
    """Refuse classes that the training split has not; they have no output."""
    unknown = [name for name in found if name not in classes]
    if not unknown:
        return
    folded = {name.casefold(): name for name in classes}
    near = [f"{name} there is {folded[name.casefold()]}" for name in unknown if name.casefold() in folded]
    hint = f" ({listed(near)})" if near else ""
    raise DataError(
        flat_validation(split)
        or f"{shown(split)} has classes that {shown(split.parent / 'train')} has not: {listed(unknown)}{hint}"
    )


def _list(split: Path, folders: Folders, label_of: Callable[[str], int], note: Note, every: bool) -> Listing:
    """All image files of a split; ``every`` class has to have some."""
    left = LeftAlone()
    paths: list[str] = []
    labels: list[int] = []
    empty: list[str] = []
    hashed = hashlib.sha256()
    for name, places in folders.items():
        entries = [entry for place in places for entry in images_in(place, left)]
        if not entries:
            empty.append(name)
        for entry in entries:
            hashed.update(os.fsencode(f"{entry.path}\0{_stamp(entry)}\n"))
            paths.append(entry.path)
        labels += [label_of(name)] * len(entries)
    for line in left.lines(split.name):
        note("info", line)
    if not paths or (every and empty):
        raise DataError(_without_images(split, empty, len(folders), left))
    return Listing(split.name, tuple(paths), np.asarray(labels, dtype=np.int64), hashed.hexdigest()[:24])


def _without_images(split: Path, empty: Sequence[str], classes: int, left: LeftAlone) -> str:
    there = f"; other files there: {', '.join(left.endings)}" if left.endings else ""
    if len(empty) == classes:
        return f"{shown(split.absolute())} has no images; known endings: {', '.join(image_suffixes())}{there}"
    return (
        f"{shown(split.absolute())} has classes without images: {listed(list(empty))}; fill or remove these folders "
        f"(known endings: {', '.join(image_suffixes()[:NAMED])}, ...{there})"
    )


def _stamp(entry: os.DirEntry[str]) -> str:
    try:
        stat = entry.stat()
    except OSError as error:
        raise DataError(f"cannot read {shown(entry.path)}: {error.strerror}") from None
    return f"{stat.st_size}\0{stat.st_mtime_ns}"
