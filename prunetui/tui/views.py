"""Frozen pictures of the store: all that screens know. Made by threads, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.results.event_text import LogLine
from prunetui.results.progress import Tracker
from prunetui.results.summary import Line
from prunetui.store import Status
from prunetui.store.control import Wishes

LIVE = ("running", "queued")
ORDER = {"running": 0, "queued": 1, "interrupted": 2, "died": 3, "failed": 4, "done": 5}


@dataclass(frozen=True)
class Entry:
    """A run in the list."""

    id: str
    folder: Path
    status: Status | None
    """None for a folder that cannot be read as a run."""
    place: int = 0
    """Place in the queue from 1; 0 when it does not wait."""

    @cached_property
    def state(self) -> str:
        """running, queued, interrupted, died, failed, done; or unreadable."""
        if self.status is None:
            return "unreadable"
        if self.place and self.status.state != "running":
            return "queued"
        if self.status.state == "queued":
            return "waiting"
        return "paused" if self.status.state == "running" and self.status.message == "paused" else self.status.state

    @property
    def name(self) -> str:
        return self.status.name if self.status and self.status.name else self.id

    @cached_property
    def fields(self) -> dict[str, str]:
        """What can be searched for, in lower case; under the empty key all of it."""
        found = {"id": self.id, "state": self.state, "name": self.name}
        if self.status:
            s = self.status
            found |= {"model": s.model, "data": s.data, "method": " ".join(s.methods)}
            found |= {"device": s.device, "host": s.host}
        found = {key: value.lower() for key, value in found.items()}
        return {**found, "": " ".join(found.values())}

    @property
    def fraction(self) -> float:
        """Trials that are over, as a fraction of all."""
        status = self.status
        return (status.done + status.failed) / status.trials if status and status.trials else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Estimated from the trials that are over; None unless it runs and one is over."""
        status, done = self.status, self.fraction
        if status is None or status.state != "running" or not done:
            return None
        return max(0.0, (now - status.started) * (1 - done) / done)

    def age(self, now: float) -> float:
        """Seconds since it was made."""
        return max(0.0, now - self.status.created) if self.status else 0.0


@dataclass(frozen=True)
class Curve:
    """A training: mean loss and accuracy (percent) of each finished epoch."""

    trial: str
    label: str
    epochs: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunView:
    """A run as its events, status and results tell it."""

    id: str
    folder: Path
    status: Status | None
    rows: tuple[Mapping[str, Any], ...] = ()
    lines: tuple[Line, ...] = ()
    """The rows as means over seeds, without those of single layers."""
    log: tuple[LogLine, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    current: str = ""
    """Key of the training that runs, or ran last."""
    wishes: Wishes = field(default_factory=Wishes)
    progress: Tracker = field(default_factory=Tracker)
    """How far it is: a copy that is fed no more."""
    trouble: str = ""
    """What is wrong with the file of results, if anything; the rows are then those of the events."""
    metrics: Metrics = CLASSIFICATION
    """What it measures."""

    @property
    def state(self) -> str:
        """As in the list of runs."""
        if self.status is None:
            return "unreadable"
        return "paused" if self.is_running and self.status.message == "paused" else self.status.state

    @property
    def is_running(self) -> bool:
        return self.status is not None and self.status.state == "running"


@dataclass(frozen=True)
class Gauge:
    """One graphics processor; percent, bytes, degrees Celsius, watts."""

    name: str
    busy: float
    used: int
    memory: int
    temperature: float
    power: float


@dataclass(frozen=True)
class Gauges:
    """The machine: processors and memory in percent, and its graphics processors."""

    cpu: float
    memory: float
    used: int
    gpus: tuple[Gauge, ...] = ()
