"""What the application looks at all the time: the runs of a folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from prunetui.store import Run
from prunetui.store.queue import Queue
from prunetui.tui.views import Entry

RUNS_SECONDS = 1.0
"""Between two looks."""


class RunsLook:
    """All runs of a folder. A status file is replaced by renaming, which its folder's time tells."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._queue = Queue(root)
        self._known: dict[str, tuple[int, Entry]] = {}

    def __call__(self) -> tuple[Entry, ...]:
        waiting = {run: i for i, run in enumerate(self._queue.waiting, 1)}
        entries = []
        names = self._folders()
        for name in sorted(names, reverse=True):
            entry = self._entry(name, names[name], waiting.get(name, 0))
            self._known[name] = (names[name], entry)
            entries.append(entry)
        return tuple(entries)

    def _entry(self, name: str, changed: int, place: int) -> Entry:
        """The very same one while nothing has changed: five thousand are compared at a glance."""
        seen, entry = self._known.get(name, (0, None))
        fresh = entry is not None and seen == changed and not (entry.status and entry.status.state == "running")
        status = entry.status if entry and fresh else Run(self._root / name).status()
        if entry is not None and (entry.status, entry.place) == (status, place):
            return entry
        entry = Entry(name, self._root / name, status, place)
        _ = entry.fields  # kept by it; for five thousand at once the first letter of a filter would wait
        return entry

    def _folders(self) -> dict[str, int]:
        """Folders that may be runs, and when they last changed."""
        found: dict[str, int] = {}
        with contextlib.suppress(OSError), os.scandir(self._root) as folders:
            for folder in folders:
                with contextlib.suppress(OSError):  # it was deleted a moment ago
                    if folder.is_dir() and not folder.name.startswith("."):
                        found[folder.name] = folder.stat().st_mtime_ns
        return found
