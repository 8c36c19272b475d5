"""Which side the images of a tree get when nobody says: the commonest, or a question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from prunetui.data.tree.decode import TINY, reason, side_of
from prunetui.errors import DataError
from prunetui.files.paths import shown

LOOKED_AT = 1000
"""Headers that are read at most, evenly spaced over the files in order of class and name: a tenth of a second."""
HUGE = 512
"""Sides above which somebody has to say that the network is meant to be that large."""
SHARE = 0.5
"""Part of the images that have the commonest side, below which sizes may differ widely."""
SPREAD = 1.5
"""Ratio of the 95th to the 5th percentile of the sides, above which they do."""


def common_side(paths: Sequence[str]) -> int:
    """The commonest shorter side of images.

    Raises:
        DataError: none can be read, sizes differ widely, or the commonest is hardly meant.
    """
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths))).astype(int)]
    sides: Counter[int] = Counter()
    failed = []
    for path in chosen:
        try:
            sides[side_of(path)] += 1
        except Exception as error:  # noqa: BLE001 - decoders raise anything; corrupt files are all named later
            failed.append(f"{shown(path)}: {reason(error)}")
    if not sides:
        raise DataError(f"none of {len(chosen)} images that were looked at can be read, beginning with {failed[0]}")
    return _judged(sides)


def _judged(sides: Counter[int]) -> int:
    total = sides.total()
    side, count = max(sides.items(), key=lambda item: (item[1], item[0]))
    low, high = np.percentile(list(sides.elements()), [5, 95], method="nearest")
    spread = f"shorter sides go from {min(sides)} to {max(sides)} pixels"
    if count < SHARE * total and high > SPREAD * low:
        raise DataError(
            f"images differ widely in size: of {total} that were looked at {spread}, and the commonest, {side}, is "
            f"that of {count} only; say which side they are resized to, for example data.size = {_suggested(int(low))}"
        )
    if side < TINY or side > HUGE:
        raise DataError(
            f"is this meant? The commonest shorter side of {total} images that were looked at is {side} pixels "
            f"({spread}); say which side they are resized to, for example data.size = {_suggested(side)}"
        )
    return side


def _suggested(side: int) -> int:
    """The largest usual size that is not above the images' own."""
    return max((usual for usual in (32, 64, 96, 128, 224) if usual <= side), default=32)
