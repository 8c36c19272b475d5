"""An image tree root/{train,test|val}/<class>/..., decoded once into one cached array a split.

The cache lies in the user's cache directory under a hash of the listing (names, sizes, times), so a tree
that changed is decoded again; what is said of the images is kept with them and said every time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunetui.data.lazy_images import Streaming
from prunetui.data.tree import decoded_cache
from prunetui.data.tree.decode import Decoded, begin_worker, decode
from prunetui.data.tree.decode_pool import can_start
from prunetui.data.tree.judge import Ranges, Reader, check_all_there, judged, ranges_of, tell_corrupt
from prunetui.data.tree.listing import Listing, Tree, list_known, list_tree
from prunetui.data.tree.sizes import common_side
from prunetui.data.tree.streamed import read_streamed
from prunetui.data.tree.wanted import Wanted
from prunetui.errors import DataError
from prunetui.files.paths import shown

CHUNK = 512
SMALL_SET = 4
"""Chunks that are decoded faster here than it takes to start processes."""

Labels = NDArray[np.int64]
Split = tuple[NDArray[np.uint8], Labels]


def read(
    root: Path, size: int | None, wanted: Wanted, train_needed: bool, streaming: Streaming, reader: Reader
) -> tuple[tuple[Any, Labels], tuple[Any, Labels], tuple[str, ...]]:
    """Training split, test split and class names; the training split is empty where it is not there, or not needed.

    A split is images [N, C, side, side], uint8 or ``FileImages``, and labels [N]. The side is ``size``, or what the
    network wants, or the images' own; ``reader`` says the rest.

    Raises:
        DataError: the tree is not there or not of this form, or images are corrupt and not to be skipped.
    """
    tree = list_tree(root, wanted.classes, reader.note, train_needed)
    side = size or wanted.size or common_side((tree.train or tree.test).paths)
    reader = replace(reader, size=side)
    count = len(tree.test.paths) + (len(tree.train.paths) if tree.train else 0)
    if streaming.chosen(tree.test.name, count, 3 * side**2):
        return read_streamed(tree, wanted.classes is None, streaming, reader)
    return _read_all(tree, wanted.classes is None, reader)


def _read_all(tree: Tree, trained: bool, reader: Reader) -> tuple[Split, Split, tuple[str, ...]]:
    """Both splits in memory; a network is to be ``trained`` on all of its classes."""
    ranges: Ranges = {}
    side = reader.size
    train: Split = np.zeros((0, 3, side, side), dtype=np.uint8), np.zeros(0, dtype=np.int64)
    if tree.train is not None:
        train, ranges = _judged(tree.train, _decoded(tree.train, {}, reader), tree.classes, ranges, reader)
        if trained:
            check_all_there(train[1], tree.classes)
    decoded = _decoded(tree.test, ranges, reader)
    if tree.beside is not None and decoded.deep:
        ranges = _ranges_of_training(tree.beside, tree.classes, reader)
        decoded = _decoded(tree.test, ranges, reader)
    test, _ = _judged(tree.test, decoded, tree.classes, ranges, reader)
    if _grey(train[0]) and _grey(test[0]):
        train, test = (train[0][:, :1], train[1]), (test[0][:, :1], test[1])
    return train, test, tree.classes


def _ranges_of_training(split: Path, classes: Sequence[str], reader: Reader) -> Ranges:
    """The ranges of deep levels that training images give, of which nothing else is used."""
    listing = list_known(split, classes)
    if listing is None:
        return {}
    reader = replace(reader, skip_corrupt=True)
    decoded = _decoded(listing, {}, reader)
    if decoded.corrupt:
        tell_corrupt(listing, decoded.corrupt, reader)
    return ranges_of(decoded.deep)


def _grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether no image has any colour."""
    return bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())


def _judged(
    listing: Listing, decoded: Decoded, classes: Sequence[str], given: Ranges, reader: Reader
) -> tuple[Split, Ranges]:
    """The good images of a split, and the ranges of deep levels that were used."""
    good, ranges = judged(listing, decoded, classes, given, reader)
    pixels, labels = decoded.pixels, listing.labels
    return ((pixels, labels) if good.all() else (pixels[good], labels[good])), ranges


def _decoded(listing: Listing, given: Ranges, reader: Reader) -> Decoded:
    """The images of a listing, from the cache where they are."""
    levels = "".join(f"{depth}{span.low:.10g}~{span.high:.10g}-" for depth, span in sorted(given.items()))
    place = decoded_cache.place(listing.digest, reader.size, levels)
    kept, wrong = decoded_cache.load(place, len(listing.paths), reader.size)
    if kept is not None:
        return kept
    if wrong:
        reader.note("warning", f"{listing.name}: the cached images in {place} are damaged ({wrong}); decoded again")
    try:
        decoded = _decode_all(listing.paths, given, reader, f"decoding {listing.name}")
        if decoded.deep:
            _scale_deep(listing.paths, decoded, {**ranges_of(decoded.deep), **given}, reader)
    except MemoryError:
        count, gigabytes = len(listing.paths), len(listing.paths) * 3 * reader.size**2 / 1e9
        raise DataError(
            f"{listing.name}: {count:,} images of {reader.size} x {reader.size} take {gigabytes:.1f} GB of memory, "
            "more than there is; make data.size smaller, or use fewer images"
        ) from None
    decoded_cache.save(place, decoded)
    return decoded


def _scale_deep(paths: Sequence[str], decoded: Decoded, ranges: Ranges, reader: Reader) -> None:
    """Fill in the deep images, once the range of all of them is known."""
    index = [i for i, _ in decoded.deep]
    found = _decode_all([paths[i] for i in index], ranges, reader, "scaling images of more than 8 bits")
    decoded.pixels[index], decoded.facts[index] = found.pixels, found.facts
    decoded.corrupt.extend((index[i], reason) for i, reason in found.corrupt)
    decoded.corrupt.sort()


def _decode_all(paths: Sequence[str], ranges: Ranges, reader: Reader, what: str) -> Decoded:
    """Decode in as many processes as there are cores; small sets are not worth the processes."""
    size = reader.size
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    pixels = np.empty((len(paths), 3, size, size), dtype=np.uint8)
    all_of_it = Decoded(pixels, np.zeros(len(paths), dtype=np.uint16), [], [])
    for i, part in enumerate(_in_processes(chunks, size, ranges)):
        start = i * CHUNK
        here = slice(start, start + len(part.pixels))
        all_of_it.pixels[here], all_of_it.facts[here] = part.pixels, part.facts
        all_of_it.corrupt.extend((start + j, reason) for j, reason in part.corrupt)
        all_of_it.deep.extend((start + j, extent) for j, extent in part.deep)
        reader.report(what, here.stop, len(paths))
    return all_of_it


def _in_processes(chunks: Sequence[Sequence[str]], size: int, ranges: Ranges) -> Iterator[Decoded]:
    if len(chunks) <= SMALL_SET or not can_start():
        yield from map(decode, chunks, repeat(size), repeat(ranges))
        return
    # spawn: a fork of a process that runs torch's threads may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(len(chunks), os.cpu_count() or 1), context, begin_worker)
    done = 0
    try:
        for part in pool.map(decode, chunks, repeat(size), repeat(ranges)):
            yield part
            done += 1
    except BrokenProcessPool:
        first = shown(chunks[done][0])
        raise DataError(
            f"a process that decodes images died, of too little memory or of a file that crashes its decoder; "
            f"everything before {first} was decoded"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
