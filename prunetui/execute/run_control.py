"""What the user asks of a running run: to stop (by a signal), or by the file beside the run to pause, skip or stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prunetui.errors import Skipped
from prunetui.store.control import Control, Wishes

LOOK_SECONDS = 0.25
"""How often the file is looked at: a batch may take a millisecond."""
PAUSE_SECONDS = 0.1


@dataclass
class RunControl:
    """Called between batches: says whether to stop, waits while paused, raises ``Skipped`` for the current trial."""

    stop_requested: Callable[[], bool]
    """Whether a signal, or the process that owns the run, asks to stop."""
    control: Control
    on_pause: Callable[[str], None]
    """Called with "paused" and "resumed"."""
    trial: str = ""
    """The trial that is being executed."""
    _looked: float = field(default=0.0)
    _changed: float = field(default=0.0)
    _wishes: Wishes = field(default_factory=Wishes)
    _is_paused: bool = field(default=False)

    def __call__(self) -> bool:
        """Whether to stop now.

        Raises:
            Skipped: the current trial is to be left out.
        """
        self._look()
        if self._must_wait():
            self._wait()
        if self.trial in self._wishes.skip:
            raise Skipped(f"{self.trial} was left out by hand")
        return self.stop_requested() or self._wishes.stop

    def between_steps(self) -> bool:
        """Whether to stop now that no step is half done."""
        return self() or self._wishes.stop_after_step

    def wishes(self) -> Wishes:
        """What the file asks for now, without waiting."""
        self._look()
        return self._wishes

    def report_pause(self, is_paused: bool) -> None:
        """Tell the user when the run pauses or goes on, once each time."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self.on_pause("paused" if is_paused else "resumed")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        changed = self.control.changed()
        if changed != self._changed:
            self._changed, self._wishes = changed, self.control.read()

    def _must_wait(self) -> bool:
        """Whether to wait: a run that is to stop, or a trial that is to be skipped, need not be resumed first."""
        wishes = self._wishes
        return wishes.pause and not (wishes.stop or wishes.stop_after_step or self.trial in wishes.skip)

    def _wait(self) -> None:
        self.report_pause(True)
        while self._must_wait() and not self.stop_requested():
            time.sleep(PAUSE_SECONDS)
            self._look()
        self.report_pause(False)
