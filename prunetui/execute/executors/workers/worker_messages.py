"""Messages between the process that owns a run and its workers; plain data, pickled.

A worker answers with events and with the outcomes of ``prunetui.execute.executor``: ``Prepared`` to ``Begin``,
``Finished`` or ``Stopped`` to ``Compute``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Begin:
    """First message to a worker: which run, and the surroundings that it takes over from the owner."""

    folder: str
    device: str
    parallel: int | None
    """How many workers share the device; None lets the study decide."""
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
class StopWork:
    """Stop after the current batch."""


@dataclass(frozen=True)
class End:
    """There are no more trials."""


@dataclass(frozen=True)
class Unable:
    """The worker met what every other would meet, too: no data, a full disk. ``error`` is for the user."""

    error: Exception
