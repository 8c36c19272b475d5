"""The background thread of the application: starts queued runs one after another, each in a process of its own.

A run's process has its own session, so that it outlives the application, the terminal and the SSH line. Of several
applications on one folder, one at a time serves the queue: the one that holds its lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from prunetui.execute.python_process import python_command
from prunetui.execute.trusted_code import untrusted_code
from prunetui.files.regular import open_regular
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.store.queue import Queue

POLL_SECONDS = 0.3
NOTES = 5
NOTE_SECONDS = 0.05
"""How often it is noted at most that a run was ended, and the time in which a heartbeat under way lands."""


class Runner:
    """Serves the queue of a folder until it is closed; runs that it started go on."""

    def __init__(self, root: Path, device: str = "auto") -> None:
        self.queue = Queue(root)
        self._root = root
        self._device = device
        self._closed = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="runner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Start no more runs; what runs goes on."""
        self._closed.set()
        self._thread.join(timeout=2)

    def _serve(self) -> None:
        lock: IO[bytes] | None = None
        try:
            while not self._closed.wait(POLL_SECONDS):
                with contextlib.suppress(OSError):  # a full disk, a folder that was just deleted: the next may do
                    lock = lock or self._queue_lock()
                    if lock and not self._is_busy():
                        self._start_next()
        finally:
            if lock:
                lock.close()

    def _queue_lock(self) -> IO[bytes] | None:
        """The lock on serving the queue; None while another application holds it."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(open_regular(self._root / ".runner.lock", os.O_WRONLY | os.O_CREAT), "wb")
        except OSError:  # a folder that is not there yet, or that may not be written
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def _is_busy(self) -> bool:
        """Whether the run that was started last is still running, whichever application started it."""
        if self._child is not None and self._child.poll() is None:
            return True
        self._child = None
        started = self.queue.read()[1]
        status = Run(self._root / started).status() if started else None
        return status is not None and status.state == "running"

    def _start_next(self) -> None:
        run = self.queue.take() if self.queue.waiting else None
        if run and (self._root / run / "study.toml").is_file():
            self._start(Run(self._root / run))

    def _start(self, run: Run) -> None:
        if named := untrusted_code(run):  # a queue comes with its folder, from wherever that comes
            self._failed(run, f"it names code of {' and '.join(named)}, which nobody here has run: resuming it asks")
            return
        try:
            self._child = launch(run, self._device_of(run))
        except OSError as error:
            self._failed(run, f"its process cannot be started: {error.strerror or error}")

    def _failed(self, run: Run, message: str) -> None:
        status = run.status()
        if status is not None:
            run.write_status(dataclasses.replace(status, state="failed", message=message, finished=time.time()))

    def _device_of(self, run: Run) -> str:
        """The device asked for when the run was made, else the one that the application was started with."""
        status = run.status()
        return status.device if status is not None and status.state == "queued" and status.device else self._device


def launch(run: Run, device: str) -> subprocess.Popen[bytes]:
    """Execute a run in a process of its own session; its errors go to the run's log."""
    with os.fdopen(open_regular(run.folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
        return subprocess.Popen(
            python_command("prunetui.execute", str(run.folder), device),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def stop(run: Run) -> None:
    """Ask a run to stop after its current batch, on whatever machine it is."""
    Control(run).ask(stop=True, pause=False)


def kill(run: Run) -> bool:
    """End a run's process and its children at once; False if it is not ours or not here. The run can be resumed."""
    status = run.status()
    if status is None or status.state != "running" or status.host != socket.gethostname() or status.pid <= 1:
        return False
    try:
        # A worker leads its own group; a `--batch` shares the group of somebody's shell, which must live.
        leads = os.getpgid(status.pid) == status.pid and os.getsid(status.pid) == status.pid
        if leads:
            os.killpg(status.pid, signal.SIGKILL)
        else:
            os.kill(status.pid, signal.SIGKILL)  # its computing processes end with it
    except (ProcessLookupError, PermissionError):  # it has gone, or is somebody else's
        return False
    note_interrupted(run, "ended at once by hand")
    return True


def note_interrupted(run: Run, message: str) -> None:
    """Record that the user ended a run's process, which has no time to do so; otherwise the run counts as died."""
    with contextlib.suppress(OSError):
        for _ in range(NOTES):
            status = run.written_status()
            if status is None or status.state != "running":
                return
            run.write_status(dataclasses.replace(status, state="interrupted", message=message, finished=time.time()))
            time.sleep(NOTE_SECONDS)
