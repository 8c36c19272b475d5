"""Images of a tree that are decoded anew whenever they are used; one pass at the start tells what there is of them.

That pass finds all that reading them into memory would: what is corrupt, turned, deep or grey. It is kept in the user's
cache, under a hash of the listing, as decoded images are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prunetui.data.lazy_images import (
    DIGEST_BYTES,
    Index,
    LazyImages,
    Look,
    Pixels,
    Streaming,
    ahead,
    joined,
    look_at,
)
from prunetui.data.tree import decoded_cache
from prunetui.data.tree.decode import Decoded, decode, decode_only
from prunetui.data.tree.decode_pool import can_start, pool, pool_broken
from prunetui.data.tree.judge import Ranges, Reader, check_all_there, judged, ranges_of, tell_corrupt
from prunetui.data.tree.levels import Range
from prunetui.data.tree.listing import Listing, Tree, list_known
from prunetui.errors import DataError
from prunetui.files.paths import shown

SURVEYED = 64
"""Files that a worker looks at, at once."""
Split = tuple["FileImages", NDArray[np.int64]]

CHUNK_BYTES = 4 << 20
"""Decoded images that a worker sends at once: a few of 224 pixels, so that little lies in memory."""


@dataclass(frozen=True)
class FileImages(LazyImages):
    """Image files by their paths, decoded as those in memory are."""

    paths: tuple[str, ...]
    ranges: Mapping[str, Range]
    workers: int

    def made(self, batches: Sequence[Index]) -> Iterator[Pixels]:
        """The files at each index, decoded to RGB.

        Raises:
            DataError: a file cannot be decoded any more, or a worker was killed.
        """
        chunk = max(1, CHUNK_BYTES // (3 * self.side**2))
        counts = [-(-len(batch) // chunk) for batch in batches]
        parts = (batch[start : start + chunk] for batch in batches for start in range(0, len(batch), chunk))
        decoded = self._decoded([self.paths[i] for i in part] for part in parts)
        for count in counts:
            pieces = [next(decoded) for _ in range(count)]
            whole = pieces[0] if count == 1 else np.concatenate(pieces)
            yield whole.transpose(0, 3, 1, 2)  # as a view: channels last is how networks read them

    def _decoded(self, chunks: Iterator[list[str]]) -> Iterator[Pixels]:
        return in_processes(partial(decoded_pixels, size=self.side, ranges=self.ranges), chunks, self.workers)


def in_processes(work: Callable[[list[str]], Any], chunks: Iterable[list[str]], workers: int) -> Iterator[Any]:
    """What ``work`` makes of each chunk of paths, in their order, ahead of whoever takes it."""
    if not workers or not can_start():
        yield from map(work, chunks)
        return
    with pool_broken():
        yield from ahead(lambda chunk: pool(workers).submit(work, chunk), chunks, 2 * workers + 1)


def decoded_pixels(paths: Sequence[str], size: int, ranges: Mapping[str, Range]) -> Pixels:
    """Files that could be decoded before, as RGB [N, size, size, 3].

    Raises:
        DataError: one cannot be any more.
    """
    found = decode_only(paths, size, ranges)
    if found.corrupt or found.deep:
        i, why = found.corrupt[0] if found.corrupt else (found.deep[0][0], "its levels have become of another depth")
        raise DataError(f"{shown(paths[i])} was changed since the data was read: {why}")
    return found.pixels


def read_streamed(
    tree: Tree, trained: bool, streaming: Streaming, reader: Reader
) -> tuple[tuple[Any, NDArray[np.int64]], Split, tuple[str, ...]]:
    """Both splits as files that are decoded when they are used; a network is to be ``trained`` on all of its classes.

    Raises:
        DataError: images are corrupt and not to be skipped.
    """
    ranges: Ranges = {}
    side, greys = reader.size, []
    train: tuple[Any, NDArray[np.int64]] = np.zeros((0, 3, side, side), dtype=np.uint8), np.zeros(0, dtype=np.int64)
    if tree.train is not None:
        found = _survey(tree.train, {}, streaming.workers, reader)
        train, ranges = _split(tree.train, found, tree.classes, ranges, streaming, reader)
        greys.append(found.grey)
        if trained:
            check_all_there(train[1], tree.classes)
    found = _survey(tree.test, ranges, streaming.workers, reader)
    if tree.beside is not None and found.decoded.deep:
        ranges = _ranges_of_training(tree, streaming.workers, reader)
        found = _survey(tree.test, ranges, streaming.workers, reader)
    test, _ = _split(tree.test, found, tree.classes, ranges, streaming, reader)
    if all([*greys, found.grey]):
        test = test[0].in_channels(1), test[1]
        train = (train[0].in_channels(1) if isinstance(train[0], LazyImages) else train[0][:, :1]), train[1]
    return train, test, tree.classes


def _split(
    listing: Listing, found: Surveyed, classes: Sequence[str], given: Ranges, streaming: Streaming, reader: Reader
) -> tuple[Split, Ranges]:
    good, ranges = judged(listing, found.decoded, classes, given, reader)
    index = np.flatnonzero(good)
    look = Look(found.look.digests[index], found.look.sums[index])
    images = FileImages(index, 3, reader.size, look, listing.paths, ranges, streaming.workers)
    return (images, listing.labels[index]), ranges


def _ranges_of_training(tree: Tree, workers: int, reader: Reader) -> Ranges:
    """The ranges of deep levels that training images give, of which nothing else is used."""
    listing = list_known(tree.beside, tree.classes) if tree.beside else None
    if listing is None:
        return {}
    found = _survey(listing, {}, workers, reader).decoded
    if found.corrupt:
        tell_corrupt(listing, found.corrupt, replace(reader, skip_corrupt=True))
    return ranges_of(found.deep)


def _survey(listing: Listing, given: Ranges, workers: int, reader: Reader) -> Surveyed:
    """What there is to know of a listing, from the cache where it is."""
    levels = "".join(f"{depth}{span.low:.10g}~{span.high:.10g}-" for depth, span in sorted(given.items()))
    place = decoded_cache.place(listing.digest, reader.size, f"survey-{levels}")
    count = len(listing.paths)
    shapes = {
        "pixels": ((0, 3, reader.size, reader.size), np.uint8), "facts": ((count,), np.uint16), "grey": ((), np.bool_),
        "digests": ((count, DIGEST_BYTES), np.uint8), "sums": ((count, 4, 2), np.int64),
    }  # fmt: skip
    kept, arrays, wrong = decoded_cache.load_with(place, shapes)
    if kept is not None:
        return Surveyed(kept, Look(arrays["digests"], arrays["sums"]), bool(arrays["grey"]))
    if wrong:
        reader.note(
            "warning", f"{listing.name}: what is kept in {place} is damaged ({wrong}); all files are read again"
        )
    found = _surveyed_all(listing.paths, given, workers, reader, f"looking through {listing.name}")
    if found.decoded.deep:
        found = _with_deep(listing.paths, found, {**ranges_of(found.decoded.deep), **given}, workers, reader)
    more = {"digests": found.look.digests, "sums": found.look.sums, "grey": np.array(found.grey)}
    decoded_cache.save(place, found.decoded, **more)
    return found


def _surveyed_all(paths: Sequence[str], ranges: Ranges, workers: int, reader: Reader, what: str) -> Surveyed:
    chunks = [list(paths[start : start + SURVEYED]) for start in range(0, len(paths), SURVEYED)]
    parts, done = [], 0
    for part in in_processes(partial(surveyed, size=reader.size, ranges=ranges), chunks, workers):
        parts.append(part)
        done += len(part.decoded.facts)
        reader.report(what, done, len(paths))
    return merged(parts)


def _with_deep(paths: Sequence[str], found: Surveyed, ranges: Ranges, workers: int, reader: Reader) -> Surveyed:
    """With what is known of the deep images, once the range of all of them is."""
    index = [i for i, _ in found.decoded.deep]
    deep = _surveyed_all([paths[i] for i in index], ranges, workers, reader, "looking at images of more than 8 bits")
    found.decoded.facts[index] = deep.decoded.facts
    found.look.digests[index], found.look.sums[index] = deep.look
    found.decoded.corrupt.extend((index[i], reason) for i, reason in deep.decoded.corrupt)
    found.decoded.corrupt.sort()
    return found


class Surveyed(NamedTuple):
    """What was found of some files; ``decoded`` without its pixels."""

    decoded: Decoded
    look: Look
    grey: bool
    """Whether no good image has any colour."""


def surveyed(paths: Sequence[str], size: int, ranges: Mapping[str, Range]) -> Surveyed:
    """Decode files and keep what there is to know of them."""
    found = decode(paths, size, ranges)
    pixels = found.pixels
    grey = bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())
    return Surveyed(found._replace(pixels=pixels[:0]), look_at(pixels), grey)


def merged(parts: Sequence[Surveyed]) -> Surveyed:
    """Surveys of the parts of a listing as one."""
    starts = np.cumsum([0, *(len(part.decoded.facts) for part in parts)]).tolist()
    corrupt = [(at + i, why) for at, part in zip(starts, parts, strict=False) for i, why in part.decoded.corrupt]
    deep = [(at + i, extent) for at, part in zip(starts, parts, strict=False) for i, extent in part.decoded.deep]
    facts = np.concatenate([part.decoded.facts for part in parts])
    decoded = Decoded(parts[0].decoded.pixels, facts, corrupt, deep)
    return Surveyed(decoded, joined(part.look for part in parts), all(part.grey for part in parts))
