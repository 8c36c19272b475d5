"""What the screens of one run look at: its events, status and results."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from pathlib import Path

from prunetui import events
from prunetui.metrics import CLASSIFICATION
from prunetui.results import summary
from prunetui.results.event_text import LogLine, log_line
from prunetui.results.progress import Tracker
from prunetui.results.summary import UNREADABLE
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.tui.views import Curve, RunView

RUN_SECONDS = 0.5
"""Between two looks."""
CHUNK = 100
"""Events read at a time, which takes some milliseconds."""
REST_SECONDS = 0.004
"""Between two chunks: the screen's thread shares the interpreter, and would take twice as long for everything."""


class RunLook:
    """One run: its events are read once, from where they were left."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tail = run.tail()
        self._control = Control(run)
        self._tracker = Tracker()
        self._metrics = CLASSIFICATION
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
        if lines:
            self._metrics = self._run.metrics() or self._metrics
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
            metrics=self._metrics,
        )
        return self._view

    def _take(self, event: events.Event) -> None:
        from prunetui.steps.train import Train  # the first screen shows no run

        self._tracker.feed(event)
        line = log_line(event, self._metrics)
        if line is not None:
            self._log.append(line)
        if isinstance(event, events.StepStarted) and event.step == Train.__name__:
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
            changed = modified(self._run.folder / "results.csv")
            if changed != self._rows_time:
                found = self._run.results()
                self._rows, self._trouble, self._rows_time, self._lines = tuple(found.rows), found.trouble, changed, ()
                self._metrics = self._run.metrics() or summary.measured(self._rows)
                whole = [row for row in self._rows if not row.get("layer")]
                self._lines = tuple(summary.lines(whole, self._metrics))
        except (OSError, *UNREADABLE):
            return self._rows
        return self._rows


def modified(path: Path) -> int:
    """When a file was last written, in nanoseconds; -1 where there is none."""
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
