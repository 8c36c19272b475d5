"""Paths as users write them: what cannot exist is not there, never an exception."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ALWAYS_READ = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpf", ".jpx", ".qoi",
)  # fmt: skip
HEIF_PLUGIN = "pillow_heif"
"""The package that lets Pillow read HEIF."""
NEEDED = {
    ".avif": "a Pillow with AVIF",
    ".heic": "the package pillow-heif",
    ".heif": "the package pillow-heif",
    ".hif": "the package pillow-heif",
}
"""What it takes to read files with these endings."""


@cache
def image_suffixes() -> tuple[str, ...]:
    """Endings of the files that count as images in a folder of them, in lower case."""
    from PIL import features

    avif = "avif" in features.modules and features.check("avif")  # older Pillows warn of the question
    readable = {".avif": avif, **dict.fromkeys((".heic", ".heif", ".hif"), find_spec(HEIF_PLUGIN))}
    return ALWAYS_READ + tuple(suffix for suffix in NEEDED if readable[suffix])


def shown(path: str | os.PathLike[str]) -> str:
    """A path or name as text for a message: control characters, and bytes that are no text, as backslash escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fspath(path))


def user_path(text: str | Path) -> Path:
    """The path with ``~`` expanded; one whose user is unknown stays as it is."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name the file system cannot even have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def exists(path: Path) -> bool:
    """Whether there is anything of this name."""
    try:
        return path.exists()
    except OSError:
        return False


def is_dir(path: Path) -> bool:
    """Whether there is such a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False
