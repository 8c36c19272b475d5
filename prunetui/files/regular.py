"""Opens only regular files: a named pipe would wait for ever, a device may be endless. Links to files are followed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from prunetui.files.safe_json import read_json

MOST_BYTES = 64 << 20
"""Of a text file of a run; results of 100,000 trials have 40 MB."""


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """A descriptor of the file; never waits.

    Raises:
        OSError: it cannot be opened, or is something else than a file.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read_regular(path: Path, most_bytes: int | None = MOST_BYTES) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read, is something else than a file, or is larger than ``most_bytes``.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if most_bytes is not None and size > most_bytes:
            raise OSError(errno.EINVAL, f"larger than {most_bytes >> 20} MiB", str(path))
        return file.read(size + 1 if most_bytes is None else most_bytes)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: as ``read_regular``.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_regular(path).decode()


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, with names as they are and numbers that are finite.

    Raises:
        OSError: as ``read_regular``.
        ValueError: it is no JSON object, or one of a size or depth that none of ours has.
    """
    plain = read_json(read_regular(path), most_bytes=MOST_BYTES, finite=True)
    if not isinstance(plain, dict):
        raise ValueError(f"it holds {type(plain).__name__}, not an object")
    return plain
