"""An executor of your own: trials one after the other in this process, each under Python's profiler.

    python own_executor.py study.toml
    python -m pstats runs/<run>/profiles/<trial>.prof

Trials, rows and states are those of every other executor; only where and how they are computed is different.
"""

from __future__ import annotations

import cProfile
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prunetui.config import load_study
from prunetui.errors import Interrupted
from prunetui.execute.engine_setup import set_up_engine
from prunetui.execute.execution import execute
from prunetui.execute.executor import ExecutionContext, Finished, Outcome, Stopped
from prunetui.execute.executor_registry import executor
from prunetui.execute.submit import submit
from prunetui.execute.trial_execution import execute_trial
from prunetui.plan import Trial

if TYPE_CHECKING:
    from prunetui.engine.run import Engine


@executor("profiled")
class Profiled:
    """One worker, the calling process; writes ``profiles/<trial>.prof`` into the run."""

    def __init__(self, context: ExecutionContext) -> None:
        self.context = context
        self.engine: Engine | None = None
        self.waiting: list[Trial] = []

    def start(self) -> None:
        (self.context.run.folder / "profiles").mkdir(exist_ok=True)

    @property
    def capacity(self) -> int:
        """One trial at a time, once the engine is there."""
        return int(self.engine is not None and not self.waiting)

    def expect(self, trials: int) -> None:
        """There is one worker, whatever is to come."""

    def submit(self, trial: Trial, time_latency: bool) -> None:
        assert self.engine is not None
        self.engine.time_latency = time_latency
        self.waiting.append(trial)

    def poll(self) -> Iterator[Outcome]:
        """The first outcome says what the machine is like; then there is one of each trial."""
        if self.engine is None:
            self.engine, prepared = set_up_engine(self.context, parallel=1)
            yield prepared
        while self.waiting:
            trial = self.waiting.pop()
            profile = cProfile.Profile()
            try:
                yield Finished(trial.id, profile.runcall(execute_trial, self.engine, trial, self.context.control))
            except Interrupted as error:
                yield Stopped(str(error), trial.id)
            profile.dump_stats(self.context.run.folder / "profiles" / f"{trial.id}.prof")

    def stop(self) -> None:
        """A trial asks the context's ``control`` itself, after every batch."""

    def close(self) -> None:
        """There is no process to end."""


if __name__ == "__main__":
    run = submit(load_study(sys.argv[1]), Path("runs"))
    sys.exit(execute(run, "cpu", lambda: False, executor=f"{__file__}:profiled"))
