"""Executes trials one after the other in the calling process: for tests and debuggers. A crash ends the run with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prunetui.errors import Interrupted
from prunetui.execute.engine_setup import set_up_engine
from prunetui.execute.executor import ExecutionContext, Finished, Outcome, Stopped
from prunetui.execute.executor_registry import executor
from prunetui.execute.trial_execution import execute_trial
from prunetui.plan import Trial

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

IDLE_SECONDS = 0.1


@executor("inline")
class InlineExecutor:
    """One worker, which is the calling process: ``poll`` executes the submitted trial to its end."""

    def __init__(self, context: ExecutionContext) -> None:
        self._context = context
        self._engine: Engine | None = None
        self._submitted: Trial | None = None

    @property
    def capacity(self) -> int:
        return int(self._engine is not None and self._submitted is None)

    def start(self) -> None:
        """The first ``poll`` sets up the engine."""

    def expect(self, trials: int) -> None:
        """There is one worker, whatever is to come."""

    def submit(self, trial: Trial, time_latency: bool) -> None:
        assert self._engine is not None
        self._engine.time_latency = time_latency
        self._submitted = trial

    def poll(self) -> Iterator[Outcome]:
        trial, self._submitted = self._submitted, None
        try:
            if self._engine is None:
                self._engine, prepared = set_up_engine(self._context, parallel=1)
                yield prepared
            elif trial is not None:
                yield Finished(trial.id, execute_trial(self._engine, trial, self._context.control))
            else:
                time.sleep(IDLE_SECONDS)
        except Interrupted as error:
            yield Stopped(str(error), trial.id if trial else "")

    def stop(self) -> None:
        """The engine asks the context's ``control`` itself."""

    def close(self) -> None:
        """There is nothing to end."""
