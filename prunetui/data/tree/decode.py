"""Decode image files in worker processes into 8-bit RGB, with what there was to know of each. Torch-free.

Decoders that run other programs or whole documents (PostScript, PDF, HDF5) are never asked: a file is what its
first bytes say, whatever its name ends with.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Mapping, Sequence
from enum import IntFlag
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from prunetui.data.tree.levels import Extent, Range, depth_of, extent_of, scaled
from prunetui.files.paths import HEIF_PLUGIN

FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "QOI", "AVIF", "HEIF")
"""Pillow's names of the formats that are read."""
MAX_PIXELS = 2**27
"""Pixels of one image at most: a file of a few bytes can claim any number, and they all would take memory."""
DARK = 16
"""An image without any level as bright as this, of 255, is nearly black."""
TINY = 4
"""Sides in pixels below which an image shows nothing."""


class Fact(IntFlag):
    """What is told about an image."""

    CORRUPT = 1
    ROTATED = 2
    """Turned or mirrored as its EXIF orientation says."""
    TRANSPARENT = 4
    """Parts that could be seen through are white."""
    FRAMES = 8
    """There are more frames or pages than the one that is used."""
    RESIZED = 16
    STRETCHED = 32
    """It was not square."""
    TINY = 64
    CONSTANT = 128
    """Of one colour throughout."""
    DARK = 256
    """Nearly black."""
    DEEP = 512
    """Levels of more than 8 bits, scaled."""
    CLIPPED = 1024
    """Deep, with levels outside of the range that is scaled."""


class Decoded(NamedTuple):
    """uint8 pixels [N, 3, size, size] and facts [N] of some files; corrupt ones are black."""

    pixels: NDArray[np.uint8]
    facts: NDArray[np.uint16]
    corrupt: list[tuple[int, str]]
    """Index and reason."""
    deep: list[tuple[int, Extent]]
    """Images whose levels were not scaled, for want of a range, and what they span."""


def begin_worker() -> None:
    """For worker processes: Ctrl-C is for the process that started them, with which they end however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def decode(paths: Sequence[str], size: int, ranges: Mapping[str, Range]) -> Decoded:
    """Decode files, resize them with antialiasing where they are of another size, and scale deep levels by ``ranges``.

    An image of a depth that ``ranges`` has not is left black, and the extent of its levels is told.
    """
    found = decode_only(paths, size, ranges)
    planes, facts = np.ascontiguousarray(found.pixels.transpose(0, 3, 1, 2)), found.facts
    read = np.ones(len(paths), dtype=bool)
    read[[i for i, _ in (*found.corrupt, *found.deep)]] = False
    facts[read] |= _level_facts(planes[read])
    return found._replace(pixels=planes)


def decode_only(paths: Sequence[str], size: int, ranges: Mapping[str, Range]) -> Decoded:
    """As ``decode``, without the facts that levels tell, and with the channels last [N, size, size, 3]."""
    pixels = np.zeros((len(paths), size, size, 3), dtype=np.uint8)
    facts = np.zeros(len(paths), dtype=np.uint16)
    corrupt: list[tuple[int, str]] = []
    deep: list[tuple[int, Extent]] = []
    for i, path in enumerate(paths):
        try:
            found = _read(path, size, ranges)
        except Exception as error:  # noqa: BLE001 - decoders raise anything; each file is reported by name
            corrupt.append((i, reason(error)))
            facts[i] = Fact.CORRUPT
            continue
        if isinstance(found, Extent):
            deep.append((i, found))
        else:
            pixels[i], facts[i] = found
    return Decoded(pixels, facts, corrupt, deep)


def reason(error: Exception) -> str:
    """Why a file cannot be decoded, on one line."""
    if isinstance(error, UnidentifiedImageError):
        return "no image that can be read, by its first bytes"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS:,} pixels that are read"
    text = str(getattr(error, "strerror", None) or error)
    return f"{type(error).__name__}: {' '.join(text.split())}"[:300]


@cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow knows."""
    Image.init()
    if find_spec(HEIF_PLUGIN):
        importlib.import_module(HEIF_PLUGIN).register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def opened(path: str) -> Image.Image:
    """The header of an image file; the pixels are read later.

    Raises:
        Exception: whatever the decoder raises; ValueError for images beyond ``MAX_PIXELS``.
    """
    image = Image.open(path, formats=_formats())
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{width} x {height} pixels are more than the {MAX_PIXELS:,} that are read")
    return image


def side_of(path: str) -> int:
    """The shorter side of an image file, in pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with opened(path) as image:
            side: int = min(image.size)
            return side


def _read(path: str, size: int, ranges: Mapping[str, Range]) -> tuple[NDArray[np.uint8], int] | Extent:
    """RGB pixels [size, size, 3] and facts; of an image of unknown range, what its levels span."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the pixels are what counts
        with opened(path) as image:
            _fit_key(image)
            image.load()
            facts = _upright(image)
            depth = depth_of(image)
            if depth and depth not in ranges:
                return extent_of(image)
            if depth:
                levels, clipped = scaled(image, ranges[depth])
                facts |= Fact.DEEP | (Fact.CLIPPED if clipped else 0)
                rgb, seen_through = levels.convert("RGB"), False
            else:
                rgb, seen_through = _on_white(image)
            facts |= Fact.TRANSPARENT if seen_through else 0
            facts |= Fact.FRAMES if _has_more_frames(image) else 0
            facts |= _size_facts(rgb.size, size)
            if rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(rgb, dtype=np.uint8), int(facts)


def _fit_key(image: Image.Image) -> None:
    """PNG's transparent level in the levels that Pillow gives: it scales those of 2, 4 and 3 x 16 bits alone."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", ())
    if image.format != "PNG" or not tiles:
        return
    coding = tiles[0][3]  # Pillow's name of how the samples lie in the file
    if isinstance(key, int) and coding in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if coding == "L;2" else 17)
    elif isinstance(key, tuple) and coding == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in key)


def _upright(image: Image.Image) -> int:
    """Turn an image as its EXIF orientation says; a tag that cannot be read says nothing."""
    try:
        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        if turned:
            ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # noqa: BLE001 - metadata of any kind of damage beside pixels that are whole
        return 0
    return Fact.ROTATED if turned else 0


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image in RGB, and whether it had transparent parts, which are white now."""
    if image.mode not in ("RGBA", "RGBa", "LA", "La", "PA") and "transparency" not in image.info:
        return image.convert("RGB"), False
    # Pillow converts premultiplied grey to nothing but plain grey with alpha
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    darkest, _ = rgba.getchannel("A").getextrema()
    if darkest == 255:
        return rgba.convert("RGB"), False
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"), True


def _has_more_frames(image: Image.Image) -> bool:
    """Whether it is an animation or has pages; the preview in a camera's JPEG (MPO) is no further frame."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - what follows the first frame is damaged, and not used
        return True


def _size_facts(found: tuple[int, int], wanted: int) -> int:
    facts = Fact.RESIZED if found != (wanted, wanted) else Fact(0)
    facts |= Fact.STRETCHED if found[0] != found[1] else 0
    return facts | (Fact.TINY if min(found) < TINY else 0)


def _level_facts(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """CONSTANT and DARK of images [N, 3, size, size]."""
    flat = pixels.reshape(*pixels.shape[:2], pixels.shape[2] * pixels.shape[3])
    low, high = flat.min(2), flat.max(2)
    facts = np.zeros(len(pixels), dtype=np.uint16)
    facts[(low == high).all(1)] |= int(Fact.CONSTANT)
    facts[high.max(1) < DARK] |= int(Fact.DARK)
    return facts
