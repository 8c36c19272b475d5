"""The order of a run's events: an execution begins with RunStarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from prunetui import events


@dataclass
class StartedFirst:
    """Passes events on; log lines are held back until the run has started, or has ended without starting.

    Log lines of the preparation - a checkpoint read in an unusual way, a machine that computes a layer wrongly - come
    before the device is known, and the device is part of ``RunStarted``.
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
