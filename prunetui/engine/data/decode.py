"""Decode image files in worker processes. Imports no torch: a worker starts in a tenth of a second."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Decoded = tuple[NDArray[np.uint8], list[tuple[int, str]]]


def ignore_interrupts() -> None:
    """For worker processes: Ctrl-C is for the process that started them, which then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def decode(paths: Sequence[str], size: int) -> Decoded:
    """uint8 pixels [N, 3, size, size] of the files, and ``(index, reason)`` of those that are corrupt.

    Images of another size are resized with antialiasing; corrupt ones are left black.
    """
    pixels = np.zeros((len(paths), size, size, 3), dtype=np.uint8)
    corrupt = []
    for i, path in enumerate(paths):
        try:
            pixels[i] = _read(path, size)
        except Exception as error:  # noqa: BLE001 - decoders raise anything; each file is reported by name
            corrupt.append((i, f"{type(error).__name__}: {error}"))
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), corrupt


def _read(path: str, size: int) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the pixels are what counts
        with Image.open(path) as image:
            decoded = _eight_bit(image).convert("RGB")
            if decoded.size != (size, size):
                decoded = decoded.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(decoded, dtype=np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey levels scaled to 8 bits; Pillow itself would cut them off at 255."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image


def side_of(path: str) -> int:
    """The shorter side of an image file, in pixels."""
    with Image.open(path) as image:
        width, height = image.size
    side: int = min(width, height)
    return side
