"""The order of a run's events: an execution begins with RunStarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from prunetui import events


@dataclass
class StartedFirst:
    """Hands events on; lines of the log wait until the run has started, or has ended without starting.

    What getting ready has to say - a checkpoint read in an unusual way, a machine that computes a layer wrongly - is
    known before the device is, and the device is part of ``RunStarted``.
    """

    emit: Callable[[events.Event], None]
    waiting: list[events.Log] = field(default_factory=list)
    released: bool = False

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Log) and not self.released:
            self.waiting.append(event)
            return
        if isinstance(event, events.RunStarted):
            self.emit(event)
        if isinstance(event, events.RunStarted | events.RunFinished):
            self._release()
        if not isinstance(event, events.RunStarted):
            self.emit(event)

    def _release(self) -> None:
        self.released = True
        for line in self.waiting:
            self.emit(line)
        self.waiting.clear()
