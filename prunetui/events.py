"""Everything that can happen in a run: frozen dataclasses, one JSON line each.

Events are what views know of a run; a field added later needs a default, so that old files stay readable.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

NO_SPEED_UP = "no speed-up in this runtime"
"""In the column ``runtime`` of a net with masks: zeros are computed like the rest, so there is nothing to time."""


@dataclass(frozen=True)
class Event:
    """Base of all events; ``time`` is in seconds since the epoch, filled in when it is appended."""

    kind: ClassVar[str] = "event"
    time: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class RunStarted(Event):
    """An execution of the run begins, or goes on."""

    kind: ClassVar[str] = "run_started"
    run: str
    device: str
    resumed: bool


@dataclass(frozen=True)
class Planned(Event):
    """The study is unrolled: how many trials there are, how many already have their row, how many steps remain.

    ``work`` is the size of what remains, in images passed forward (a training image counts three times).
    """

    kind: ClassVar[str] = "planned"
    trials: int
    done: int
    steps: int
    work: int


@dataclass(frozen=True)
class StepStarted(Event):
    """A step begins, the first time for ``trial``; ``work`` is its size as in ``Planned``."""

    kind: ClassVar[str] = "step_started"
    key: str
    step: str
    label: str
    trial: str
    work: int


@dataclass(frozen=True)
class Progress(Event):
    """A step has seen ``done`` of ``total`` images; ``loss`` is the mean over the epoch so far."""

    kind: ClassVar[str] = "progress"
    key: str
    done: int
    total: int
    epoch: int
    epochs: int
    images_per_second: float
    loss: float | None = None
    lr: float | None = None


@dataclass(frozen=True)
class EpochFinished(Event):
    """One pass over the training images; ``accuracy`` is the task's primary metric on augmented training images.

    In percent for classification, whose word the name is.
    """

    kind: ClassVar[str] = "epoch_finished"
    key: str
    epoch: int
    epochs: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class StepFinished(Event):
    """A step is done, by work or because its result was found under its key."""

    kind: ClassVar[str] = "step_finished"
    key: str
    step: str
    seconds: float
    cached: bool
    work: int
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class TrialFinished(Event):
    """A trial ended; ``row`` is its row of results.csv, whatever its status."""

    kind: ClassVar[str] = "trial_finished"
    trial: str
    status: str
    row: dict[str, Any]


@dataclass(frozen=True)
class ProcessDied(Event):
    """A computing process ended by itself while it executed ``trial``; the others go on.

    ``key`` and ``label`` are of the step it was at, ``signal`` is the name of what ended it, ``code`` its exit code
    (minus the signal's number), ``words`` what it wrote to stderr last. Empty, or None, where that is not known.
    """

    kind: ClassVar[str] = "process_died"
    trial: str
    key: str
    label: str
    signal: str
    code: int | None
    words: str


@dataclass(frozen=True)
class Log(Event):
    """A line for people; ``level`` is info, warning or error."""

    kind: ClassVar[str] = "log"
    level: str
    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The execution ended: done, failed or interrupted; without it the process died."""

    kind: ClassVar[str] = "run_finished"
    state: str
    message: str = ""


KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        RunStarted, Planned, StepStarted, Progress, EpochFinished, StepFinished, TrialFinished, ProcessDied, Log,
        RunFinished,
    )
}  # fmt: skip


MOST_LINE = 1 << 20
"""Bytes of a line; rows of results have about a thousand."""
MOST = 1e18
"""No count is larger."""
MOST_TIME = 1e11
"""Seconds since the epoch: the year 5138. Clocks and calendars refuse what is far beyond."""
_KINDS_OF_FIELDS = {cls: {f.name: str(f.type) for f in dataclasses.fields(cls)} for cls in KINDS.values()}


def to_json(event: Event) -> str:
    """One line of strict ASCII JSON without its newline; NaN and infinities become null."""
    plain = {"event": event.kind, **dataclasses.asdict(event)}
    return json.dumps(_finite(plain), separators=(",", ":"), allow_nan=False)


def from_json(line: str | bytes) -> Event | None:
    """The event on a line; None for what this version does not know or cannot read."""
    if len(line) > MOST_LINE:
        return None
    try:
        plain = json.loads(line)
        cls = KINDS[plain.pop("event")]
        kinds = _KINDS_OF_FIELDS[cls]
        known = {key: value for key, value in plain.items() if key in kinds}
        fits = all(_fits(value, kinds[key]) for key, value in known.items()) and 0 <= known.get("time", 0) < MOST_TIME
        return cls(**known) if fits else None
    except (OverflowError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _fits(value: Any, kind: str) -> bool:
    """Whether a value that was read is of a field's kind, and no number that nothing can be done with."""
    if value is None:
        return kind.endswith("None")
    if kind.startswith("dict"):
        return isinstance(value, dict) and all(map(_is_plain, value.values()))
    if kind.startswith("float"):
        return type(value) in (int, float) and math.isfinite(value)
    if kind.startswith("int"):
        return type(value) is int and abs(value) <= MOST
    return type(value).__name__ == kind


def _is_plain(value: Any) -> bool:
    """A cell of a row, or a figure of a measurement."""
    if type(value) in (int, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | list | dict)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
