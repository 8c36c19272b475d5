"""Runs that wait for their turn, in order: one small file in the folder of runs, shared by all who look."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prunetui.files.atomic import write_atomic
from prunetui.files.regular import open_regular, read_object

Ids = tuple[str, ...]


class Queue:
    """The waiting runs of a folder, and the one that was started from it last."""

    def __init__(self, root: Path) -> None:
        self._path = root / ".queue.json"
        self._lock = root / ".queue.lock"

    def read(self) -> tuple[Ids, str]:
        """The ids that wait, next one first, and the id that was started last."""
        try:
            plain = read_object(self._path)
        except (OSError, ValueError):
            return (), ""
        waiting, started = plain.get("waiting"), plain.get("started")
        ids: Ids = tuple(dict.fromkeys(run for run in waiting if _is_id(run))) if isinstance(waiting, list) else ()
        return ids, str(started) if _is_id(started) else ""

    @property
    def waiting(self) -> Ids:
        return self.read()[0]

    def add(self, run: str) -> None:
        """Put a run at the end, once."""
        self._change(lambda waiting: (*(r for r in waiting if r != run), run))

    def remove(self, run: str) -> None:
        """Take a run out."""
        self._change(lambda waiting: tuple(r for r in waiting if r != run))

    def move(self, run: str, by: int) -> None:
        """Bring a run forward (negative) or back."""

        def moved(waiting: Ids) -> Ids:
            if run not in waiting:
                return waiting
            others = [r for r in waiting if r != run]
            others.insert(max(0, waiting.index(run) + by), run)
            return tuple(others)

        self._change(moved)

    def take(self) -> str | None:
        """The next run, which is then the one that was started last; None when nothing waits."""
        taken: list[str] = []

        def first(waiting: Ids) -> Ids:
            taken.extend(waiting[:1])
            return waiting[1:]

        self._change(first, taken)
        return taken[0] if taken else None

    def _change(self, change: Callable[[Ids], Ids], started: list[str] | None = None) -> None:
        with self._locked():
            waiting, last = self.read()
            after = change(waiting)
            last = started[0] if started else last
            write_atomic(self._path, json.dumps({"waiting": after, "started": last}))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_regular(self._lock, os.O_RDWR | os.O_CREAT), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is_id(run: Any) -> bool:
    """Whether it may be the name of a folder beside the queue."""
    return isinstance(run, str) and run not in ("", "..") and Path(run).name == run
