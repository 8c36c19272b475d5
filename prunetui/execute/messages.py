"""What the process that owns a run and the processes that compute say to each other; plain data, pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunetui.plan import Images, Plan


@dataclass(frozen=True)
class Begin:
    """First message to a computing process: which run, and the surroundings that it takes over from the owner."""

    folder: str
    device: str
    processes: int | None
    """How many processes share the device; None lets the study decide."""
    threads: int | None
    """CPU threads; None lets the study decide."""
    path: tuple[str, ...]
    """Module search path."""
    environment: Mapping[str, str]
    working_folder: str


@dataclass(frozen=True)
class Compute:
    """Execute a trial; ``time_latency`` is False where other work would disturb the timing."""

    trial: str
    time_latency: bool


@dataclass(frozen=True)
class Stop:
    """End after the current batch."""


@dataclass(frozen=True)
class End:
    """There are no more trials."""


@dataclass(frozen=True)
class Prepared:
    """Answer to ``Begin``: the plan, and what the process found of the machine."""

    plan: Plan
    device: str
    context: Mapping[str, Any]
    """What decides a study's numbers besides the study itself."""
    processes: int
    """How many processes share the device."""
    images: Images
    timer: Mapping[str, str]
    """Where and with what latency is timed."""
    machine: Mapping[str, Any]
    """What environment.json says of the process: name of the device, threads."""


@dataclass(frozen=True)
class Row:
    """Answer to ``Compute``: the trial's row of results.csv, whatever its status."""

    trial: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Stopped:
    """Answer to ``Stop``, or to a wish of the user's that the process saw by itself."""

    why: str


@dataclass(frozen=True)
class Unable:
    """The process met what every other would meet, too: no data, a full disk. ``error`` is told to the user."""

    error: Exception
