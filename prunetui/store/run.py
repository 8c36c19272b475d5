"""One run folder: create it, append events, tail them, hold its lock, replace its status and results."""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import io
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from prunetui import events
from prunetui.atomic import write_atomic
from prunetui.errors import UsageError
from prunetui.store.death import death

LOCK_PATIENCE = 0.5
"""Seconds to wait for a lock: who only looks whether a run is alive holds it for a moment."""

COLUMNS = (
    "trial", "method", "label", "schedule", "seed", "target", "sparsity", "params", "params_nonzero", "macs",
    "macs_nonzero", "top1_before", "top1_before_raw", "top1", "val_top1", "top1_dense", "top1_control", "top5", "loss",
    "bytes", "latency_ms", "latency_iqr_ms", "latency128_ms", "latency128_iqr_ms", "latency_cuda_ms",
    "latency_cuda_iqr_ms", "latency128_cuda_ms", "latency128_cuda_iqr_ms", "runtime", "seconds", "status", "error",
    "layer", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Status:
    """The state of a run at a glance: all that a list of runs shows, in one small file.

    ``state`` is queued, running, done, failed, interrupted (by somebody) or died (``Run.status`` finds out);
    times are seconds since the epoch.
    """

    state: str
    name: str = ""
    data: str = ""
    model: str = ""
    methods: tuple[str, ...] = ()
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    heartbeat: float = 0.0
    pid: int = 0
    host: str = ""
    device: str = ""
    trials: int = 0
    done: int = 0
    failed: int = 0
    top1_dense: float | None = None
    top1_best: float | None = None
    message: str = ""
    version: str = ""


def _status(plain: dict[str, Any]) -> Status:
    """A status as it was written, by this version or another.

    Raises:
        TypeError: a field holds something else than it should.
    """
    kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "float | None": (int, float, type(None))}
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Status):
        if field.name not in plain:
            continue
        value = plain[field.name]
        if field.name == "methods":
            value = tuple(str(name) for name in value)
        elif not isinstance(value, kinds[str(field.type)]):
            raise TypeError(f"{field.name} is {type(value).__name__}")
        values[field.name] = value
    return Status(**values)


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
        return (self.folder / "study.toml").read_text(encoding="utf-8")

    def status(self) -> Status | None:
        """The status; a run whose process is gone without a word has ``died``. None when there is none to read."""
        status = self.written_status()
        if status is not None and status.state == "running" and not self._alive(status):
            return dataclasses.replace(status, state="died", message=death(self.folder, status))
        return status

    def written_status(self) -> Status | None:
        """The status as the process that executes the run wrote it last, whether that process lives or not."""
        try:
            return _status(json.loads((self.folder / "status.json").read_bytes()))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def write_status(self, status: Status) -> None:
        plain = dataclasses.asdict(status)
        write_atomic(self.folder / "status.json", json.dumps(plain, indent=1) + "\n")

    def _alive(self, status: Status) -> bool:
        """The lock tells on this host; of another host only its heartbeat is known."""
        if status.host != socket.gethostname():
            return time.time() - status.heartbeat < 60
        try:
            with (self.folder / "lock").open("rb") as file:
                return not _lock(file, fcntl.LOCK_SH)
        except OSError:  # no lock was ever taken here, or nobody may look
            return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; the lock goes with the process, however it ends.

        Raises:
            UsageError: another process executes this run.
        """
        with (self.folder / "lock").open("wb") as file:
            patience = time.monotonic() + LOCK_PATIENCE
            while not _lock(file, fcntl.LOCK_EX):
                if time.monotonic() > patience:
                    status = self.status()
                    who = f"process {status.pid} on {status.host}" if status else "another process"
                    raise UsageError(f"the run {self.id} is being executed by {who}")
                time.sleep(0.01)
            yield

    def rows(self) -> list[dict[str, str]]:
        """The rows of results.csv as text; empty when there is none yet."""
        try:
            text = (self.folder / "results.csv").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return list(csv.DictReader(io.StringIO(text)))

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace results.csv; empty cells for what a row lacks."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
        write_atomic(self.folder / "results.csv", text.getvalue())

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        text = json.dumps(dict(environment), indent=1) + "\n"
        write_atomic(self.folder / "environment.json", text)

    def tail(self) -> Tail:
        """Read the events from the first one on."""
        return Tail(self.folder / "events.jsonl")

    def appender(self) -> Appender:
        """Append events; only who holds the lock may."""
        return Appender(self.folder / "events.jsonl")


def _lock(file: IO[bytes], kind: int) -> bool:
    """Take a lock that ends with the file; False when somebody holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Appender:
    """Appends events with one ``write`` each, so that a line is there or not, but never mixed."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
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


class Tail:
    """Reads events as they come; call ``read`` as often as you like."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[bytes]:
        """The whole lines that came since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].splitlines()

    def read(self) -> list[events.Event]:
        """The events that came since the last call; unreadable lines are skipped."""
        return [event for line in self.lines() if (event := events.from_json(line)) is not None]
