"""What the tests of execution share: one fork server, as a fresh one takes seconds to import torch."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from prunetui.execute.executors import processes
from prunetui.execute.executors.workers.fork_client import ForkClient
from prunetui.execute.executors.workers.process_starter import ProcessStarter, process_starter


class KeptForkClient(ForkClient):
    """One whose server lives on when it is closed; what the server started does not."""

    def __init__(self) -> None:
        super().__init__()
        self._started_processes: set[int] = set()
        self.in_use = False

    def start(self, stderr: int) -> tuple[int, Connection]:
        process, pipe = super().start(stderr)
        self._started_processes.add(process)
        return process, pipe

    def exit_code(self, process: int, seconds: float) -> int | None:
        code = super().exit_code(process, seconds)
        if code is not None:
            self._started_processes.discard(process)
        return code

    def close(self) -> None:
        for process in sorted(self._started_processes - self.exited()):
            with contextlib.suppress(ProcessLookupError):  # it ended with a server that was killed
                os.kill(process, signal.SIGKILL)
                self.exit_code(process, 5)
        self._started_processes.clear()
        self._exit_codes.clear()
        self.in_use = False

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="session")
def kept_fork_server() -> Iterator[list[KeptForkClient]]:
    """The server of this session, once there is one."""
    kept: list[KeptForkClient] = []
    yield kept
    for client in kept:
        client.end()


@pytest.fixture(autouse=True)
def _one_fork_server(monkeypatch: pytest.MonkeyPatch, kept_fork_server: list[KeptForkClient]) -> None:
    """Runs in this process get the kept server, but where another is meant or a run has it already.

    Torch reads how many threads there are when it is imported: with other threads, the server is another. How it keeps
    memory for large batches changes no figure, and the networks here are small.
    """
    threads = os.environ.get("OMP_NUM_THREADS")

    def starter(large_batches: bool) -> ProcessStarter:
        if platform.system() != "Linux" or os.environ.get("OMP_NUM_THREADS") != threads:
            return process_starter(large_batches)
        if not kept_fork_server:
            kept_fork_server.append(KeptForkClient())
        if kept_fork_server[0].in_use:
            return process_starter(large_batches)
        kept_fork_server[0].in_use = True
        return kept_fork_server[0]

    monkeypatch.setattr(processes, "process_starter", starter)
