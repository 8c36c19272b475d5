"""The status of a run while it is executed: kept up to date, with a heartbeat."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from typing import Any

from prunetui.store.run_folder import Run, Status

HEARTBEAT_SECONDS = 2.0


class Book:
    """The status of a run while it is executed, with a heartbeat."""

    def __init__(self, run: Run, status: Status) -> None:
        self._run = run
        self._lock = threading.Lock()
        self.status = status

    def update(self, **changes: Any) -> None:
        with self._lock:
            self.status = dataclasses.replace(self.status, heartbeat=time.time(), **changes)
            self._run.write_status(self.status)

    def update_if_possible(self, **changes: Any) -> None:
        """As ``update``, where the disk may be the very thing that failed."""
        try:
            self.update(**changes)
        except OSError as error:
            logging.getLogger(__name__).warning("status not written: %s", error)

    def beating(self) -> Heartbeat:
        """A context in which the heartbeat is renewed."""
        return Heartbeat(self)


class Heartbeat:
    """Renews the heartbeat from a thread of its own."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._book.update_if_possible()

    def __enter__(self) -> None:
        self._book.update()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
