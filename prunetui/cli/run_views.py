"""What ``prunetui --batch`` shows while a run is executed: nothing, events as JSON, lines, or bars."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol

from prunetui import events
from prunetui.results.event_text import narration
from prunetui.results.progress import Tracker
from prunetui.terminal.durations import clock
from prunetui.terminal.output import console, say
from prunetui.terminal.printable import one_line


class View(Protocol):
    """Shows events as they come."""

    def show(self, lines: Sequence[bytes]) -> None: ...
    def close(self) -> None: ...


def view_for(json: bool, quiet: bool) -> View:
    """The view that the options of the command and the terminal ask for."""
    if json:
        return _Json()
    if quiet:
        return _Silent()
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return _Live() if terminal or console(err=True).is_jupyter else _Plain()


class _Silent:
    def show(self, lines: Sequence[bytes]) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was opened."""


class _Json:
    """Every event, one line each, on stdout; when nobody reads it any more, the run goes on unseen."""

    def __init__(self) -> None:
        self._read = True

    def show(self, lines: Sequence[bytes]) -> None:
        try:
            if lines and self._read:
                os.write(1, b"".join(line + b"\n" for line in lines))
        except OSError:  # who read it has gone, or it does not fit
            self._read = False

    def close(self) -> None:
        """Nothing is buffered."""


class _Plain:
    """One line a trial, and now and then one about a long training; no escape codes."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._last = 0.0

    def show(self, lines: Sequence[bytes]) -> None:
        for event in filter(None, map(events.from_json, lines)):
            self._tracker.feed(event)
            text = narration(event, self._tracker)
            if text is None and isinstance(event, events.Progress) and event.time - self._last > 10:
                t = self._tracker
                loss = f", loss {t.loss:.4f}" if t.loss is not None else ""
                share = 100 * event.done / max(1, event.total)
                text = f"  {t.step}: {share:.0f} %, {t.images_per_second:,.0f} images/s{loss}"
            if text is not None:
                self._last = event.time
                say(text, err=True)

    def close(self) -> None:
        sys.stderr.flush()


class _Live:
    """Two bars on stderr, all of the run and its current step, with finished trials scrolling above."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._tracker = Tracker()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[info]}"),
            console=console(err=True),
            refresh_per_second=4,
            transient=True,
            expand=True,
        )
        self._all = self._bars.add_task("starting", total=1.0, info="")
        self._step = self._bars.add_task("", total=1.0, info="", visible=False)
        self._bars.start()

    def show(self, lines: Sequence[bytes]) -> None:
        for event in filter(None, map(events.from_json, lines)):
            self._tracker.feed(event)
            text = narration(event, self._tracker)
            if text is not None:
                self._bars.console.print(one_line(text), markup=False)
        t = self._tracker
        left = t.seconds_left
        self._bars.update(
            self._all,
            description=f"trial {min(t.trials_done + 1, t.trials)}/{t.trials}" if t.trials else "starting",
            completed=t.fraction,
            info=f"{clock(left)} left" if left is not None else "",
        )
        rate = f"{t.images_per_second:,.0f} images/s" if t.images_per_second else ""
        loss = f"  loss {t.loss:.3f}" if t.loss is not None else ""
        self._bars.update(
            self._step,
            visible=bool(t.step),
            description=one_line(t.step)[:40],
            completed=t.done / t.total if t.total else 0.0,
            info=rate + loss,
        )

    def close(self) -> None:
        self._bars.stop()
