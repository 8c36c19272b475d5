"""Start computing processes and learn how they ended.

``ForkServer`` on Linux; ``Spawner`` elsewhere, as the system libraries of macOS do not bear a fork.
"""

from __future__ import annotations

import platform
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Protocol

from prunetui.execute.python_process import python_command
from prunetui.execute.stop_signals import STOP_SIGNALS


class ChildProcesses(Protocol):
    """Starts processes that execute ``prunetui.execute.child.serve``."""

    def start(self, stderr: int) -> tuple[int, Connection]:
        """A new process whose stdout and stderr are the descriptor ``stderr``: its id and its pipe."""

    def ended(self, process: int, patience: float) -> int | None:
        """The exit code of a process that ends within ``patience`` seconds, negative for a signal; None if unknown."""

    def died(self) -> set[int]:
        """The processes of which ``ended`` would tell at once; does not wait.

        The end of its pipe is no sure sign: what a process started may hold it open.
        """

    def close(self) -> None:
        """End whatever has not ended."""


class Spawner:
    """Every process is started anew and imports torch itself."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, stderr: int) -> tuple[int, Connection]:
        ours, theirs = Pipe()
        with theirs, stop_signals_blocked():
            process = subprocess.Popen(
                python_command("prunetui.execute.child", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        self._processes[process.pid] = process
        return process.pid, ours

    def ended(self, process: int, patience: float) -> int | None:
        try:
            return self._processes[process].wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def died(self) -> set[int]:
        return {number for number, process in self._processes.items() if process.poll() is not None}

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """For the start of a process: until it can ignore them it must not hear what everyone in this terminal gets."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def child_processes() -> ChildProcesses:
    """What this system bears."""
    from prunetui.execute.fork_server import ForkServer

    return ForkServer() if platform.system() == "Linux" else Spawner()


def wait_until(deadline: float) -> float:
    """Seconds that are left until a moment of the monotonic clock; more than 0, which would mean not to wait."""
    return max(deadline - time.monotonic(), 0.001)
