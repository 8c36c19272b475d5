"""Executes trials one after the other in the calling process: for tests and debuggers. A crash ends the run with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prunetui import events
from prunetui.config import Study
from prunetui.execute.assembly import assemble
from prunetui.execute.kept_steps import KeptSteps
from prunetui.execute.messages import Prepared
from prunetui.execute.run_control import Obedience
from prunetui.execute.trials import row_of
from prunetui.plan import Trial
from prunetui.store import Run


@dataclass
class InProcessExecutor:
    """As ``ProcessExecutor``, without processes."""

    run: Run
    study: Study
    device: str
    obey: Obedience
    emit: Callable[[events.Event], None]
    threads: int | None = None

    def __enter__(self) -> InProcessExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def prepare(self) -> Prepared:
        """Get ready; raises as ``assemble``."""
        self._made = assemble(self.run, self.study, self.device, self.obey, self.emit, 1, self.threads)
        return self._made.prepared()

    def rows(self, trials: list[Trial], kept: KeptSteps, time_latency: bool) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """Every trial with its row; raises as ``row_of``."""
        self._made.engine.time_latency = time_latency
        for trial in trials:
            yield trial, row_of(self._made.engine, trial, self.obey)
