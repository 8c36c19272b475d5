"""A run's process listens to people: to signals through ``stop``, to the wishes beside the run through here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prunetui.errors import Skipped
from prunetui.store.control import Control, Wishes

LOOK_SECONDS = 0.25
"""How often the wishes are looked at: a batch may take a millisecond."""
PAUSE_SECONDS = 0.1


@dataclass
class Obedience:
    """Asked between batches whether to stop; waits while paused, and raises ``Skipped`` for the current trial."""

    asked: Callable[[], bool]
    control: Control
    tell: Callable[[str], None]
    """Told "paused" and "resumed"."""
    trial: str = ""
    _looked: float = field(default=0.0)
    _changed: float = field(default=0.0)
    _wishes: Wishes = field(default_factory=Wishes)

    def __call__(self) -> bool:
        """Whether to stop now.

        Raises:
            Skipped: the current trial is to be left out.
        """
        self._look()
        if self._waits():
            self._wait()
        if self.trial in self._wishes.skip:
            raise Skipped(f"{self.trial} was left out by hand")
        return self.asked() or self._wishes.stop

    def between_steps(self) -> bool:
        """Whether to stop now that no step is half done."""
        return self() or self._wishes.stop_after_step

    def wishes(self) -> Wishes:
        """What is asked for now, for one who does not wait himself."""
        self._look()
        return self._wishes

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        changed = self.control.changed()
        if changed != self._changed:
            self._changed, self._wishes = changed, self.control.read()

    def _waits(self) -> bool:
        """Whether to wait: who is to end, or to leave out this trial, need not be told to go on first."""
        wishes = self._wishes
        return wishes.pause and not (wishes.stop or wishes.stop_after_step or self.trial in wishes.skip)

    def _wait(self) -> None:
        self.tell("paused")
        while self._waits() and not self.asked():
            time.sleep(PAUSE_SECONDS)
            self._look()
        self.tell("resumed")
