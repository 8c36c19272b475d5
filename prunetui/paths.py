"""Paths as users write them: what cannot exist is not there, never an exception."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the files that count as images in a folder of them."""


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


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file: a pipe would keep its reader waiting, a device would never end.

    Raises:
        OSError: there is no such file, it is no regular one, it cannot be read, or it is larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"larger than the {most_bytes:,} bytes that are read", str(path))
    return data
