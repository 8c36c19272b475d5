"""Signals that stop a run: the first asks it to stop after the current batch, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from prunetui.errors import EXIT_INTERRUPTED

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"


class Stop:
    """Whether a signal asked to stop; a second signal ends the process at once, after ``before_exit``.

    Python runs signal handlers between bytecodes of the main thread, which may be inside a long call of torch.
    A thread that is woken by the signal itself hears every one at once.
    """

    def __init__(self, before_exit: Callable[[], None] | None = None) -> None:
        self.asked = False
        self._before_exit = before_exit

    def __call__(self) -> bool:
        return self.asked

    def listen(self) -> None:
        """Handle the signals that end a process."""
        heard, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, _leave_to_the_listener)
        threading.Thread(target=self._hear, args=(heard,), name="signals", daemon=True).start()

    def _hear(self, heard: int) -> None:
        while number := os.read(heard, 1):
            if number[0] not in STOP_SIGNALS:
                continue
            if self.asked:
                # The folder is consistent at any moment, so nothing has to be finished.
                if self._before_exit:
                    self._before_exit()
                os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + b"\nstopped at once; the run can be resumed\n")
                os._exit(EXIT_INTERRUPTED)
            self.asked = True


def _leave_to_the_listener(number: int, frame: FrameType | None) -> None:
    """A handler must be there, or the signal would end the process."""


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """For the start of a process: until it can ignore them it must not get those of everyone in this terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop_signals() -> None:
    """For a worker: the process that owns the run gets the same signals, and asks it to stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
