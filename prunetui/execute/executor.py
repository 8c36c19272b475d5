"""The interface of executors: where trials are executed, apart from which trial is executed when.

An executor gets trials by ``submit`` and gives their outcomes by ``poll``. Everything large travels through the store:
a worker reads the study and the finished steps from the run's folder and publishes its own there, so an outcome is a
few plain values. How workers are started, spoken to and stopped, and which device each has, is the executor's business
alone. A worker anywhere builds its engine by ``engine_setup.set_up_engine`` and executes a trial by
``trial_execution.execute_trial``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from prunetui import events
from prunetui.config import Study
from prunetui.execute.run_control import RunControl
from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.plan import Plan, SplitSizes, Trial
from prunetui.store import Run


@dataclass(frozen=True)
class ExecutionContext:
    """What is executed, and for whom."""

    run: Run
    study: Study
    device: str
    """As the user named it: ``auto``, ``cpu``, ``cuda:1``."""
    threads: int | None
    """CPU threads of each worker; None lets the study decide."""
    control: RunControl
    """Whether the user wants it to stop, pause or skip a trial."""
    emit: Callable[[events.Event], None]
    """Takes the events of all workers."""


@dataclass(frozen=True)
class Prepared:
    """The first outcome: a worker is ready, has made the plan, and says what it found of its machine."""

    plan: Plan
    device: str
    conditions: Mapping[str, Any]
    """What decides a study's numbers besides the study itself."""
    parallel: int
    """How many workers share a device."""
    images: SplitSizes
    timer: Mapping[str, str]
    """Where and with what latency is timed."""
    machine: Mapping[str, Any]
    """What environment.json says of the worker: name of the device, threads."""
    metrics: Metrics = CLASSIFICATION
    """What the task of the study measures."""


@dataclass(frozen=True)
class Finished:
    """A trial is over: its row of results.csv, whatever its status."""

    trial: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Stopped:
    """A worker stopped because the user asked for it; ``trial`` is the one it was at, if any."""

    why: str
    trial: str = ""


@dataclass(frozen=True)
class Died:
    """A worker ended by itself; empty, or None, where something is not known."""

    message: str
    """How and where it ended, in words for the user."""
    trial: str = ""
    step: str = ""
    """Key of the step that it was computing."""
    label: str = ""
    """That step in words."""
    signal: str = ""
    code: int | None = None
    words: str = ""
    """What it wrote last."""


Outcome = Prepared | Finished | Stopped | Died


class Executor(Protocol):
    """Executes trials somewhere. Made from an ``ExecutionContext``; used from one thread."""

    def start(self) -> None:
        """Begin to get ready; ``poll`` gives ``Prepared`` when the first worker is."""

    @property
    def capacity(self) -> int:
        """How many more trials can be submitted now."""

    def expect(self, trials: int) -> None:
        """So many trials are being executed or still to come: start workers for them, as many as fit."""

    def submit(self, trial: Trial, time_latency: bool) -> None:
        """Execute a trial; ``time_latency`` is False where other work would disturb the timing."""

    def poll(self) -> Iterable[Outcome]:
        """The outcomes there are; waits a fraction of a second for one. Each submitted trial has one outcome.

        Raises:
            PrunetuiError, OSError: a worker met what every other would meet too: no data, a full disk.
        """

    def stop(self) -> None:
        """End what is being executed after the current batch; ``poll`` tells of each trial."""

    def close(self) -> None:
        """Leave no worker behind, whatever it is doing."""
