"""Threads that look at something a few times a second at most and tell the application what changed."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")
SETTLE_SECONDS = 2.0

_settled = 0.0


def settle(at_once: bool = False) -> bool:
    """Take what lives now out of the collector's rounds: one over 5,000 runs stops the screen for 100 ms.

    What is no longer referred to is freed all the same; only rings of objects that are garbage now are not, which
    is why it is done every two seconds at most. False when it is too soon.
    """
    global _settled
    now = time.monotonic()
    if not at_once and now - _settled < SETTLE_SECONDS:
        return False
    _settled = now
    gc.freeze()
    return True


class Feed(threading.Thread, Generic[V]):
    """Looks every so often, while that is wanted, and tells what it sees, if that is something else than before."""

    def __init__(
        self,
        look: Callable[[], V],
        tell: Callable[[V], None],
        every: float,
        wanted: Callable[[], bool] = lambda: True,
        failed: Callable[[str], None] = lambda words: None,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self._look, self._tell, self._every, self._wanted, self._failed = look, tell, every, wanted, failed
        self._over = threading.Event()
        self._nudge = threading.Event()

    def run(self) -> None:
        last: V | None = None
        settled = True
        trouble = ""
        while not self._over.is_set():
            self._nudge.clear()
            try:
                seen = self._look()
            except Exception as error:  # noqa: BLE001 - one look that fails must not end all later ones
                if trouble != (trouble := f"{type(error).__name__}: {error}"):
                    self._failed(trouble)
                self._nudge.wait(self._every)
                continue
            if seen != last and not self._over.is_set():
                settled = last is None and settle(at_once=True)  # the first look makes the most
                last = seen
                self._tell(seen)
            settled = settled or settle()
            self._nudge.wait(self._every)
            while not (self._over.is_set() or self._wanted()):
                self._over.wait(self._every)

    def nudge(self) -> None:
        """Look now: something was just done."""
        self._nudge.set()

    def close(self) -> None:
        self._over.set()
        self._nudge.set()
