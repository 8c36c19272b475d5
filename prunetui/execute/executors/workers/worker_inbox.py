"""A worker's side of the pipe to the process that owns the run, read by a thread at any time."""

from __future__ import annotations

import os
import queue
import threading
from multiprocessing.connection import Connection

from prunetui.execute.executors.workers.worker_messages import Compute, End, StopWork


class WorkerInbox:
    """Messages from the owner, and answers to it."""

    def __init__(self, pipe: Connection, parent: int) -> None:
        self._pipe = pipe
        self._parent = parent
        self._process = os.getpid()
        self._stopped = threading.Event()
        self._work: queue.SimpleQueue[Compute | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):  # the owner has gone
                self._stopped.set()
                message = End()
            if isinstance(message, StopWork):
                self._stopped.set()
            elif isinstance(message, Compute):
                self._work.put(message)
            else:
                self._work.put(None)
                return

    def should_stop(self) -> bool:
        """Whether the owner wants it, or is gone."""
        return self._stopped.is_set() or os.getppid() != self._parent

    def next(self) -> Compute | None:
        """The next trial; waits for it. None when there are no more."""
        return self._work.get()

    def send(self, message: object) -> None:
        """Tell the owner; one that is gone stops this process."""
        if os.getpid() != self._process:
            os._exit(1)  # a copy that a method made of this process
        try:
            self._pipe.send(message)
        except OSError:
            self._stopped.set()
            self._work.put(None)
