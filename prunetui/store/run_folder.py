"""One run folder: create it, append events, tail them, hold its lock, replace its status and results."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from prunetui import events
from prunetui.errors import RunFailed, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.files.regular import open_regular, read_object, read_regular, read_text
from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.store.alive import beats, descriptors, is_locked, take
from prunetui.store.death import death
from prunetui.store.metrics_of_run import read_metrics
from prunetui.store.rebuild import rebuilt_status, set_aside, set_aside_what_is_no_file
from prunetui.store.results import Results, contradiction, parse_results, results_text, rows_of_events
from prunetui.store.status import Status, read_status, status_plain
from prunetui.store.tail import Tail

LOCK_PATIENCE = 0.5
"""Seconds to wait for a lock: who only looks whether a run is alive holds it for a moment."""

__all__ = ["Appender", "Run", "Status", "Tail"]


class Run:
    """A run folder; the object holds no state that the folder does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def partial(self) -> Path:
        return self.folder / "partial"

    def study_text(self) -> str:
        """The resolved study as TOML."""
        return read_text(self.folder / "study.toml")

    def status(self) -> Status | None:
        """The status; a run whose process is gone without a word has ``died``. None where there is no run.

        Where it is damaged, or was lost, it is what the study and the events tell.
        """
        status = self.written_status()
        if status is not None and status.state == "running" and not self._alive(status):
            return dataclasses.replace(status, state="died", message=death(self.folder, status))
        return status

    def written_status(self) -> Status | None:
        """The status as the process that executes the run wrote it last, whether that process lives or not."""
        try:
            return read_status(read_object(self.folder / "status.json"))
        except FileNotFoundError:
            told = self.tail().read()
            return rebuilt_status(self.folder, told, "is missing") if told else None
        except (OSError, ValueError) as error:
            trouble = error.strerror if isinstance(error, OSError) else error
            return rebuilt_status(self.folder, self.tail().read(), f"cannot be read ({trouble})")

    def write_status(self, status: Status) -> None:
        write_atomic(self.folder / "status.json", json.dumps(status_plain(status), indent=1) + "\n")

    def _alive(self, status: Status) -> bool:
        """The locks tell on this host; of another host only its heartbeat is known."""
        if status.host != socket.gethostname():
            return beats(self.folder, status.heartbeat)
        return is_locked(self.folder)

    @contextmanager
    def locked(self) -> Iterator[list[str]]:
        """Hold the run; the lock goes with the process, however it ends.

        Yields a line for each thing that stood in the place of a file of the run, which was set aside.

        Raises:
            UsageError: another process executes this run, or there is none.
            RunFailed: its folder cannot be written.
        """
        with self._opened() as (opened, aside):
            patience = time.monotonic() + LOCK_PATIENCE
            while not all(take(descriptor, fcntl.LOCK_EX) for descriptor in opened):
                if time.monotonic() > patience:
                    status = self.status()
                    who = f"process {status.pid} on {status.host}" if status else "another process"
                    raise UsageError(f"the run {self.id} is being executed by {who}")
                time.sleep(0.01)
            yield aside

    @contextmanager
    def _opened(self) -> Iterator[tuple[tuple[int, ...], list[str]]]:
        with contextlib.ExitStack() as stack:
            try:
                aside = set_aside_what_is_no_file(self.folder)
                opened = stack.enter_context(descriptors(self.folder))
            except FileNotFoundError:
                raise UsageError(f"there is no run in {self.folder}") from None
            except OSError as error:
                raise RunFailed(
                    f"the run {self.id} cannot be executed: its folder {self.folder} cannot be written "
                    f"({error.strerror}); copy it to where you may write"
                ) from None
            yield opened, aside

    def place(self) -> tuple[int, int] | None:
        """What tells the folder from another of the same name; None when there is none any more."""
        try:
            found = self.folder.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def metrics(self) -> Metrics | None:
        """What status.json says that the run measures; None where it cannot be read."""
        try:
            return read_metrics(read_object(self.folder / "status.json"))
        except (OSError, ValueError):
            return None

    def results(self) -> Results:
        """The rows of results.csv; of a damaged file those that the events tell, and what is wrong with it."""
        metrics = self.metrics()
        try:
            return Results(parse_results(read_regular(self.folder / "results.csv"), metrics))
        except FileNotFoundError:
            rows = rows_of_events(self.tail().read(), metrics)
            return Results(rows, "results.csv is missing" if rows else "")
        except (OSError, ValueError) as error:
            trouble = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Results(rows_of_events(self.tail().read(), metrics), f"results.csv is damaged ({trouble})")

    def rows(self) -> list[dict[str, str]]:
        """The rows of results.csv as text, or what the events tell; empty when there is none yet."""
        return self.results().rows

    def healed_rows(self) -> Results:
        """The rows for who goes on with the run: a damaged file is set aside, and its rows are those of the events.

        A figure that differs from what was told when its trial was finished is damage, too.
        """
        found = self.results()
        told = rows_of_events(self.tail().read(), self.metrics())
        trouble = found.trouble
        if not trouble and (difference := contradiction(found.rows, told)):
            trouble = f"results.csv is damaged ({difference})"
        if not trouble:
            return found
        path = self.folder / "results.csv"
        where = f"; it is now {set_aside(path).name}" if os.path.lexists(path) else ""
        return Results(told, f"{trouble}{where}; its {len(told)} rows are taken from the events")

    def write_rows(self, rows: Sequence[Mapping[str, Any]], metrics: Metrics = CLASSIFICATION) -> None:
        """Replace results.csv; empty cells for what a row lacks."""
        write_atomic(self.folder / "results.csv", results_text(rows, metrics))

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        text = json.dumps(dict(environment), indent=1) + "\n"
        write_atomic(self.folder / "environment.json", text)

    def tail(self) -> Tail:
        """Read the events from the first one on."""
        return Tail(self.folder / "events.jsonl")

    def appender(self) -> Appender:
        """Append events; only who holds the lock may."""
        return Appender(self.folder / "events.jsonl")


class Appender:
    """Appends events with one ``write`` each, so that a line is there or not, but never mixed."""

    def __init__(self, path: Path) -> None:
        self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # a killed process may leave half a line

    def __call__(self, event: events.Event) -> None:
        line = events.to_json(dataclasses.replace(event, time=round(time.time(), 3)))
        data = line.encode() + b"\n"
        written = os.write(self._descriptor, data)
        if written < len(data):  # the disk is full: no half line stays, and the rest raises what is wrong
            end = os.fstat(self._descriptor).st_size
            try:
                os.write(self._descriptor, data[written:])
            except OSError:
                os.ftruncate(self._descriptor, end - written)
                raise

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
