"""Runs that wait for their turn, in order: one small file in the folder of runs, shared by all who look."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prunetui.atomic import write_atomic

Ids = tuple[str, ...]


class Queue:
    """The waiting runs of a folder, and the one that was started from it last."""

    def __init__(self, root: Path) -> None:
        self._path = root / ".queue.json"
        self._lock = root / ".queue.lock"

    def read(self) -> tuple[Ids, str]:
        """The ids that wait, next one first, and the id that was started last."""
        try:
            plain = json.loads(self._path.read_bytes())
            return tuple(str(run) for run in plain["waiting"]), str(plain["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return (), ""

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
        with self._lock.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
