"""Whether a run's process lives: by its locks on this host, by changes of its heartbeat on another."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prunetui.files.regular import open_regular

PATIENCE = 60.0
"""Seconds of our own clock without a change of the heartbeat after which a process on another host is gone."""
LOCK = "lock"


@dataclass(frozen=True)
class _Beat:
    heartbeat: float
    since: float
    believed: bool


_seen: dict[str, _Beat] = {}
"""What this process saw last of runs on other hosts, by folder."""


def beats(folder: Path, heartbeat: float) -> bool:
    """Whether the process of a run on another host lives.

    A heartbeat that changes between two looks tells, whatever the clocks say; one that does not change for a minute
    of our own clock tells too. At first sight it must be of this minute by our clock: none in the future is believed.
    """
    now, last = time.monotonic(), _seen.get(str(folder))
    if last is None or heartbeat < last.heartbeat:
        _seen[str(folder)] = last = _Beat(heartbeat, now, abs(time.time() - heartbeat) < PATIENCE)
    elif last.heartbeat != heartbeat:
        _seen[str(folder)] = last = _Beat(heartbeat, now, True)
    return last.believed and now - last.since < PATIENCE


def is_locked(folder: Path) -> bool:
    """Whether a process on this host executes the run: it holds the folder, and the file in it."""
    for path, flags in ((folder, os.O_DIRECTORY), (folder / LOCK, 0)):
        try:
            descriptor = os.open(path, os.O_RDONLY | flags) if flags else open_regular(path)
        except OSError:  # no lock was ever taken here, or nobody may look
            continue
        try:
            if not take(descriptor, fcntl.LOCK_SH):
                return True
        finally:
            os.close(descriptor)
    return False


@contextmanager
def descriptors(folder: Path) -> Iterator[tuple[int, ...]]:
    """What the owner of a run locks: the folder, for a file can be deleted, and the file, as earlier versions did.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        opened.append(open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT))
        yield tuple(opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def take(descriptor: int, kind: int) -> bool:
    """Take a lock that ends with the descriptor; False when somebody holds it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        # A file system that cannot lock folders leaves it to the file.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
