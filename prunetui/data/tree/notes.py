"""What is said of a split once its images are decoded: what was changed, and what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from prunetui.data.tree.decode import DARK, TINY, Fact
from prunetui.files.image_tree import listed

SUSPECT = 0.1
"""Part of a split that may be constant or nearly black before it is told."""


def changes(split: str, facts: NDArray[np.uint16], size: int, ranges: str) -> Iterator[str]:
    """One line for each way in which the images are not as they are in their files."""
    total = len(facts)
    for fact, what in (
        (Fact.ROTATED, "were turned as their EXIF orientation says"),
        (Fact.TRANSPARENT, "have transparent parts, which became white"),
        (Fact.FRAMES, "have several frames or pages, of which the first is used"),
        (Fact.DEEP, f"have levels of more than 8 bits, scaled to 0..255 from {ranges}"),
        (Fact.CLIPPED, "have levels outside of that range, which were cut off"),
    ):
        if count := _count(facts, fact):
            yield f"{split}: {count} of {total} images {what}"
    if count := _count(facts, Fact.RESIZED):
        stretched = _count(facts, Fact.STRETCHED)
        square = f"; {stretched} were not square and are stretched" if stretched else ""
        yield f"{split}: {count} of {total} images were resized to {size} x {size}{square}"


def doubts(split: str, facts: NDArray[np.uint16], labels: NDArray[np.int64], classes: Sequence[str]) -> Iterator[str]:
    """One line for each thing that makes images useless, of the split or of single classes."""
    if count := _count(facts, Fact.TINY):
        yield f"{split}: {count} of {len(facts)} images are less than {TINY} pixels wide or high"
    for fact, what in (
        (Fact.CONSTANT, "are of one colour throughout"),
        (Fact.DARK, f"are nearly black (no level reaches {DARK} of 255)"),
    ):
        has = (facts & fact) != 0
        by_class = np.bincount(labels[has], minlength=len(classes))
        sizes = np.bincount(labels, minlength=len(classes))
        named = [classes[i] for i in np.flatnonzero(2 * by_class > sizes).tolist()]
        if has.sum() >= SUSPECT * len(facts) and has.any():
            yield f"{split}: {has.sum()} of {len(facts)} images {what}"
        elif named:
            yield f"{split}: most images {what} in {len(named)} of {len(classes)} classes: {listed(named)}"


def _count(facts: NDArray[np.uint16], fact: Fact) -> int:
    return int(np.count_nonzero(facts & fact))
