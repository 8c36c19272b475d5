"""Grey levels of more than 8 bits -> 8 bits, by the range that a whole data set uses.

Whole numbers without negative ones go from 0 to 2^bits - 1, with the fewest bits, but at least 8, that hold the
largest of the set: 12-bit levels in 16-bit files are 0..4095, so that they are not all nearly black. Whole numbers
with negative ones go from the set's smallest to its largest. Fractions within [0, 1] are taken as they are; others,
too, go from the set's smallest to its largest. The set is the training split; all images share one range, so that
they stay comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHOLE, FRACTIONS = "whole", "fractions"
"""The two depths: int16 and int32 modes of Pillow, and float32."""


class Extent(NamedTuple):
    """The smallest and the largest level of an image, or of a set."""

    depth: str
    low: float
    high: float


class Range(NamedTuple):
    """The levels that become 0 and 255."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.10g}..{self.high:.10g}"


def depth_of(image: Image.Image) -> str | None:
    """Which kind of deep levels an image has; None for 8 bits and less."""
    if image.mode == "F":
        return FRACTIONS
    return WHOLE if image.mode == "I" or image.mode.startswith("I;") else None


def extent_of(image: Image.Image) -> Extent:
    """What the levels of a deep image span.

    Raises:
        ValueError: some are NaN or infinite.
    """
    levels = _levels(image)
    return Extent(str(depth_of(image)), float(levels.min()), float(levels.max()))


def range_of(extents: Sequence[Extent]) -> Range:
    """The range of a set of deep images of one kind."""
    low, high = min(e.low for e in extents), max(e.high for e in extents)
    if low >= 0 and extents[0].depth == WHOLE:
        return Range(0.0, float(2 ** max(8, int(high).bit_length()) - 1))
    if low >= 0 and high <= 1:
        return Range(0.0, 1.0)
    return Range(low, high if high > low else low + 1)


def scaled(image: Image.Image, levels: Range) -> tuple[Image.Image, bool]:
    """The image in 8-bit grey, and whether levels outside of the range were cut off."""
    found = _levels(image)
    outside = bool(found.min() < levels.low or found.max() > levels.high)
    scaled = ((found - levels.low) * (255 / (levels.high - levels.low))).round().clip(0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # PNG: this level is see-through
        scaled[found == transparent] = 255
    return Image.fromarray(scaled), outside


def _levels(image: Image.Image) -> NDArray[np.float64]:
    found = np.asarray(image).astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError("levels that are NaN or infinite")
    return found
