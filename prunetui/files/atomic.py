"""Write whole files or nothing: write, fsync, rename, fsync the folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import IO

from prunetui.files.regular import open_regular

FICLONE = 0x40049409
"""Linux's request to share a file's blocks until one of the two is changed (Btrfs, XFS, bcachefs)."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace ``path`` by ``data``; whoever reads sees the old file or the new one, after a crash too."""
    # One name for all attempts of a process: a killed one leaves at most one stray file behind.
    temporary = _beside(path)
    try:
        write_synced(temporary, data.encode(errors="surrogateescape") if isinstance(data, str) else data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy_atomic(source: Path, target: Path, sha256: str | None = None) -> None:
    """Replace ``target`` by a copy of ``source``, or leave it as it is; never a second name of the same file.

    Where the file system can, the two share their blocks until one of them is changed.

    Raises:
        OSError: one of them cannot be read or written.
        ValueError: what was copied does not have the digest ``sha256``.
    """
    temporary = _beside(target)
    try:
        with os.fdopen(open_regular(source), "rb") as original, temporary.open("w+b") as copy:
            if not _cloned(original, copy):
                shutil.copyfileobj(original, copy, 1 << 20)
            copy.flush()
            copy.seek(0)
            if sha256 is not None and _sha256(copy) != sha256:
                raise ValueError(f"{source} is not what was written there")
            os.fsync(copy.fileno())
        temporary.replace(target)
    except (OSError, ValueError):
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _cloned(original: IO[bytes], copy: IO[bytes]) -> bool:
    try:
        fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
    except OSError:  # another file system, or one that cannot
        return False
    return True


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that nobody reads yet and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
