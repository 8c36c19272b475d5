"""How worker processes are started on this system: forked on Linux, else each anew.

The system libraries of macOS do not survive a fork.
"""

from __future__ import annotations

import platform
from multiprocessing.connection import Connection
from typing import Protocol

from prunetui.execute.executors.workers.fork_client import ForkClient
from prunetui.execute.executors.workers.spawner import Spawner


class ProcessStarter(Protocol):
    """Starts processes that execute ``worker.serve``."""

    def start(self, stderr: int) -> tuple[int, Connection]:
        """A new process whose stdout and stderr are the descriptor ``stderr``: its id and its pipe."""

    def exit_code(self, process: int, seconds: float) -> int | None:
        """The exit code of a process that ends within ``seconds``, negative for a signal; None if unknown."""

    def exited(self) -> set[int]:
        """The processes whose ``exit_code`` is known now; does not wait.

        The end of its pipe is no sure sign: what a process started may hold it open.
        """

    def close(self) -> None:
        """End whatever has not ended."""


def process_starter(large_batches: bool) -> ProcessStarter:
    """The fastest way this system supports, for processes that train on large batches or not."""
    return ForkClient(large_batches) if platform.system() == "Linux" else Spawner()
