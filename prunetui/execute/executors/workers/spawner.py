"""Starts every worker process anew; each imports torch itself."""

from __future__ import annotations

import subprocess
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from prunetui.execute.python_process import python_command
from prunetui.execute.stop_signals import stop_signals_blocked

WORKER = "prunetui.execute.executors.workers.worker"


class Spawner:
    """A ``ProcessStarter`` for systems without a safe fork."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, stderr: int) -> tuple[int, Connection]:
        ours, theirs = Pipe()
        with theirs, stop_signals_blocked():
            process = subprocess.Popen(
                python_command(WORKER, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        self._processes[process.pid] = process
        return process.pid, ours

    def exit_code(self, process: int, seconds: float) -> int | None:
        try:
            return self._processes[process].wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def exited(self) -> set[int]:
        return {number for number, process in self._processes.items() if process.poll() is not None}

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
