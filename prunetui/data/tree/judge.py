"""What is made of the facts of decoded images: which are good, how deep levels are scaled, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunetui.data.tree.decode import Decoded, Fact
from prunetui.data.tree.levels import Extent, Range, range_of
from prunetui.data.tree.listing import Listing
from prunetui.data.tree.notes import changes, doubts
from prunetui.data.tree.wanted import Note
from prunetui.errors import DataError
from prunetui.files.image_tree import NAMED, listed
from prunetui.files.paths import shown

Report = Callable[[str, int, int], None]
Ranges = Mapping[str, Range]


@dataclass(frozen=True)
class Reader:
    """How a tree is read: to which side, whether without corrupt images, and who is told."""

    size: int
    skip_corrupt: bool
    report: Report
    note: Note


def judged(
    listing: Listing, decoded: Decoded, classes: Sequence[str], given: Ranges, reader: Reader
) -> tuple[NDArray[np.bool_], Ranges]:
    """Which images of a split are good, and the ranges of deep levels that are used; says what is to be said of them.

    Raises:
        DataError: some are corrupt, and not to be skipped.
    """
    ranges = {**ranges_of(decoded.deep), **given}
    if decoded.corrupt:
        tell_corrupt(listing, decoded.corrupt, reader)
    good = (decoded.facts & Fact.CORRUPT) == 0
    labels, facts = listing.labels[good], decoded.facts[good]
    said = ", ".join(f"{levels} ({depth})" for depth, levels in ranges.items())
    for line in changes(listing.name, facts, reader.size, said):
        reader.note("info", line)
    for line in doubts(listing.name, facts, labels, classes):
        reader.note("warning", line)
    return good, ranges


def tell_corrupt(listing: Listing, corrupt: Sequence[tuple[int, str]], reader: Reader) -> None:
    """Say which images are corrupt, or refuse them."""
    first = [f"{shown(listing.paths[i])}: {reason}" for i, reason in corrupt[:NAMED]]
    if reader.skip_corrupt:
        reader.note("warning", f"{listing.name}: skipped {len(corrupt)} corrupt images, the first {first[0]}")
        return
    more = f"\n  and {len(corrupt) - NAMED} more" if len(corrupt) > NAMED else ""
    raise DataError(
        f"{len(corrupt)} of {len(listing.paths)} images cannot be decoded:\n  " + "\n  ".join(first) + f"{more}\n"
        'mend or remove them, or set data.corrupt = "skip" to go on without them'
    )


def check_all_there(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Refuse training images of which a class has none that is good."""
    there = set(labels.tolist())
    gone = [name for label, name in enumerate(classes) if label not in there]
    if gone:
        raise DataError(f"all training images are corrupt in {len(gone)} classes: {listed(gone)}")


def ranges_of(deep: Sequence[tuple[int, Extent]]) -> Ranges:
    """The range of each depth among deep images."""
    depths = sorted({extent.depth for _, extent in deep})
    return {depth: range_of([extent for _, extent in deep if extent.depth == depth]) for depth in depths}
