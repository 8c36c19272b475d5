"""Threads that watch the store and tell the application what changed, a few times a second at most."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from prunetui import events
from prunetui.results import summary
from prunetui.results.progress import Tracker
from prunetui.results.summary import UNREADABLE
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.store.queue import Queue
from prunetui.tui.narrate import told
from prunetui.tui.views import Curve, Entry, LogLine, RunView

V = TypeVar("V")
RUNS_SECONDS = 1.0
RUN_SECONDS = 0.5
SETTLE_SECONDS = 2.0
CHUNK = 100
"""Events read at a time, which takes some milliseconds."""
REST_SECONDS = 0.004
"""Between two chunks: the screen's thread shares the interpreter, and would take twice as long for everything."""


_settled = 0.0


def settle(at_once: bool = False) -> bool:
    """Take what lives now out of the collector's rounds: one over 5,000 runs stops the screen for 100 ms.

    What is no longer referred to is freed all the same; only rings of objects that are garbage now are not, which
    is why it is done every two seconds at most. False when it is too soon.
    """
    global _settled
    now = time.monotonic()
    if not at_once and now - _settled < SETTLE_SECONDS:
        return False
    _settled = now
    gc.freeze()
    return True


class Feed(threading.Thread, Generic[V]):
    """Looks every so often, while that is wanted, and tells what it sees, if that is something else than before."""

    def __init__(
        self,
        look: Callable[[], V],
        tell: Callable[[V], None],
        every: float,
        wanted: Callable[[], bool] = lambda: True,
        failed: Callable[[str], None] = lambda words: None,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self._look, self._tell, self._every, self._wanted, self._failed = look, tell, every, wanted, failed
        self._over = threading.Event()
        self._nudge = threading.Event()

    def run(self) -> None:
        last: V | None = None
        settled = True
        trouble = ""
        while not self._over.is_set():
            self._nudge.clear()
            try:
                seen = self._look()
            except Exception as error:  # noqa: BLE001 - one look that fails must not end all later ones
                if trouble != (trouble := f"{type(error).__name__}: {error}"):
                    self._failed(trouble)
                self._nudge.wait(self._every)
                continue
            if seen != last and not self._over.is_set():
                settled = last is None and settle(at_once=True)  # the first look makes the most
                last = seen
                self._tell(seen)
            settled = settled or settle()
            self._nudge.wait(self._every)
            while not (self._over.is_set() or self._wanted()):
                self._over.wait(self._every)

    def nudge(self) -> None:
        """Look now: something was just done."""
        self._nudge.set()

    def close(self) -> None:
        self._over.set()
        self._nudge.set()


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


class RunLook:
    """One run: its events are read once, from where they were left."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tail = run.tail()
        self._control = Control(run)
        self._tracker = Tracker()
        self._log: list[LogLine] = []
        self._curves: dict[str, Curve] = {}
        self._current = ""
        self._rows_time = 0
        self._trouble = ""
        self._rows: tuple[dict[str, str], ...] = ()
        self._lines: tuple[summary.Line, ...] = ()
        self._view: RunView | None = None

    def __call__(self) -> RunView:
        lines = self._tail.lines()
        for i in range(0, len(lines), CHUNK):
            if i:
                time.sleep(REST_SECONDS)
            for event in filter(None, map(events.from_json, lines[i : i + CHUNK])):
                self._take(event)
        status, wishes = self._run.status(), self._control.read()
        rows = self._results()
        before = self._view
        if before and not lines and (status, wishes, rows) == (before.status, before.wishes, before.rows):
            return before
        self._view = RunView(
            id=self._run.id,
            folder=self._run.folder,
            status=status,
            rows=rows,
            lines=self._lines,
            log=tuple(self._log),
            curves=dict(self._curves),
            current=self._current,
            wishes=wishes,
            progress=copy(self._tracker),
            trouble=self._trouble,
        )
        return self._view

    def _take(self, event: events.Event) -> None:
        self._tracker.feed(event)
        line = told(event, self._tracker)
        if line is not None:
            self._log.append(line)
        if isinstance(event, events.StepStarted) and event.step == "Train":
            seen = self._curves.get(event.key, Curve("", ""))  # it may go on after an interruption
            self._curves[event.key] = replace(seen, trial=event.trial, label=event.label)
            self._current = event.key
        elif isinstance(event, events.EpochFinished) and event.key in self._curves:
            curve = _before(self._curves[event.key], event.epoch)
            self._curves[event.key] = replace(
                curve,
                epochs=(*curve.epochs, event.epoch),
                loss=(*curve.loss, event.loss),
                accuracy=(*curve.accuracy, event.accuracy),
            )

    def _results(self) -> tuple[dict[str, str], ...]:
        try:
            changed = _changed(self._run.folder / "results.csv")
            if changed != self._rows_time:
                found = self._run.results()
                self._rows, self._trouble, self._rows_time, self._lines = tuple(found.rows), found.trouble, changed, ()
                self._lines = tuple(summary.lines([row for row in self._rows if not row.get("layer")]))
        except (OSError, *UNREADABLE):
            return self._rows
        return self._rows


def _changed(path: Path) -> int:
    """When a file was written; -1 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _before(curve: Curve, epoch: int) -> Curve:
    """A curve up to an epoch: what a killed process did after the last saved one is done again."""
    kept = sum(e < epoch for e in curve.epochs)
    if kept == len(curve.epochs):
        return curve
    return replace(curve, epochs=curve.epochs[:kept], loss=curve.loss[:kept], accuracy=curve.accuracy[:kept])
