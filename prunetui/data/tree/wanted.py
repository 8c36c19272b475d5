"""What a network takes, and images made to fit it: classes matched by name, size and channels converted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunetui.errors import DataError
from prunetui.files.image_tree import listed

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Note = Callable[[str, str], None]
"""Told ``(level, line)``: what was changed, ignored or is doubtful; level is info or warning."""
LUMA = (19595, 38470, 7471)
"""ITU-R 601 weights of red, green and blue in 65536ths, as Pillow rounds them."""


def silent(level: str, line: str) -> None:
    """Discards notes."""


@dataclass(frozen=True)
class Wanted:
    """What a network takes; None is whatever the images are."""

    classes: tuple[str, ...] | None = None
    size: int | None = None
    channels: int | None = None


def label_map(found: Sequence[str], wanted: Sequence[str], where: str) -> Labels:
    """For each class of the images its index among the network's, by name; Unicode forms do not matter.

    Raises:
        DataError: the network does not know some of them.
    """
    index = {_composed(name): i for i, name in reversed(list(enumerate(wanted)))}
    folded = {name.casefold(): name for name in index}
    unknown = []
    for name in found:
        if _composed(name) not in index:
            near = folded.get(_composed(name).casefold())
            unknown.append(f"{name} (the network has {near})" if near else name)
    if unknown:
        raise DataError(
            f"{where} has {len(unknown)} classes that the network does not know: {listed(unknown)}; "
            f"it knows {len(wanted)}: {listed(list(wanted))}; rename the classes, or evaluate without them"
        )
    return np.asarray([index[_composed(name)] for name in found], dtype=np.int64)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Images [N, C, H, W] in grey (1) or RGB (3): grey is repeated, RGB is weighted as ITU-R 601 says.

    Raises:
        DataError: there is no such conversion.
    """
    found = pixels.shape[1]
    if found == channels:
        return pixels
    if (found, channels) == (1, 3):
        return pixels.repeat(3, axis=1)
    if (found, channels) == (3, 1):
        red, green, blue = (pixels[:, c].astype(np.uint32) * LUMA[c] for c in range(3))
        return ((red + green + blue + 0x8000) >> 16).astype(np.uint8)[:, None]
    raise DataError(f"the network takes images of {channels} channels; the data has {found}, and only 1 and 3 convert")


def with_size(pixels: Pixels, size: int) -> Pixels:
    """Square images [N, C, H, W] resized with antialiasing, as image files are."""
    if pixels.shape[2:] == (size, size):
        return pixels
    resized = np.empty((*pixels.shape[:2], size, size), dtype=np.uint8)
    for i, image in enumerate(pixels):
        for c, channel in enumerate(image):
            resized[i, c] = np.asarray(Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR))
    return resized
