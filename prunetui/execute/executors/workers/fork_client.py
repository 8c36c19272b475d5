"""Starts worker processes at once, through a fork server.

A fresh process takes seconds to import torch; a fork of one that has done so is there in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from prunetui.errors import RunFailed
from prunetui.execute.executors.workers.fork_protocol import ANSWER, CANNOT_START, REQUEST, STARTED
from prunetui.execute.executors.workers.heap_settings import heap_environment
from prunetui.execute.python_process import python_command
from prunetui.execute.stop_signals import stop_signals_blocked

SERVER = "prunetui.execute.executors.workers.fork_server"
ATTEMPTS = 3
START_SECONDS = 120.0
"""How long the first import of torch may take on a busy machine with a cold disk."""


class ForkClient:
    """A ``ProcessStarter`` that asks a fork server, whose processes train on large batches or not."""

    def __init__(self, large_batches: bool = False) -> None:
        self._exit_codes: dict[int, int] = {}
        self._large_batches = large_batches
        self._launch()

    def _launch(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs, stop_signals_blocked():
            self.process = subprocess.Popen(
                python_command(SERVER, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # stdout is for data
                env=heap_environment(self._large_batches, os.environ),
            )

    def start(self, stderr: int) -> tuple[int, Connection]:
        """As ``ProcessStarter.start``; a server that was killed is started anew.

        Raises:
            RunFailed: no process can be started.
        """
        for _ in range(ATTEMPTS):
            if self.process.poll() is not None:
                self._control.close()
                self._launch()
            ours, theirs = Pipe()
            with theirs, contextlib.suppress(OSError):  # the server is gone: the next one may do
                socket.send_fds(self._control, [REQUEST], [theirs.fileno(), stderr])
                process = self._started()
                if process is not None:
                    return process, ours
            ours.close()
        raise RunFailed("the process that starts the computing processes ends again and again; resume the run")

    def _started(self) -> int | None:
        """The id of the process that was asked for; None where the server is gone."""
        deadline = time.monotonic() + START_SECONDS
        while (answer := self._answer(deadline)) is not None:
            kind, process, code = answer
            if kind == STARTED:
                return process
            if kind == CANNOT_START:
                raise RunFailed(f"no computing process can be started: {os.strerror(code)}")
            self._exit_codes[process] = code
        if self.process.poll() is None:
            self.process.kill()  # it does not answer
            self.process.wait()
        return None

    def exited(self) -> set[int]:
        """As ``ProcessStarter.exited``."""
        while select.select([self._control], [], [], 0)[0]:
            answer = self._answer(time.monotonic() + 1)
            if answer is None:  # the server is gone: the pipes of its processes tell
                break
            self._exit_codes[answer[1]] = answer[2]
        return set(self._exit_codes)

    def exit_code(self, process: int, seconds: float) -> int | None:
        """As ``ProcessStarter.exit_code``."""
        deadline = time.monotonic() + seconds
        while process not in self._exit_codes:
            answer = self._answer(deadline)
            if answer is None:
                return None
            self._exit_codes[answer[1]] = answer[2]
        return self._exit_codes.pop(process)

    def _answer(self, deadline: float) -> tuple[bytes, int, int] | None:
        self._control.settimeout(max(deadline - time.monotonic(), 0.001))  # 0 would mean not to wait
        try:
            data = self._control.recv(ANSWER.size, socket.MSG_WAITALL)
        except OSError:
            return None
        return ANSWER.unpack(data) if len(data) == ANSWER.size else None

    def close(self) -> None:
        """End the server, and whatever it started that has not ended."""
        self._control.close()
        self.process.wait()
