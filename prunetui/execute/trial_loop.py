"""Keeps an executor busy with the trials that are ready, and yields every trial with its row.

It decides what follows from what an executor reports: who is next, when the user's wish to stop or to pause is passed
on, and how many deaths of workers are too many.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prunetui import events
from prunetui.errors import Interrupted, RunFailed
from prunetui.execute.executor import Died, ExecutionContext, Executor, Finished, Outcome, Prepared, Stopped
from prunetui.execute.kept_steps import KeptSteps
from prunetui.execute.scheduler import Scheduler
from prunetui.execute.trial_execution import failed_row
from prunetui.plan import Trial
from prunetui.store import Run

MOST_IN_A_ROW = 3
"""Workers that may die outside of a step with no trial finished in between: then it is no fault of a trial."""
LOG = logging.getLogger(__name__)


class TrialLoop:
    """The trials of one execution of a run on one executor."""

    def __init__(self, context: ExecutionContext, executor: Executor) -> None:
        self._context = context
        self._executor = executor
        self._interruption = ""
        """Why no more trials are begun."""
        self._is_stopping = False
        self._is_paused = False
        self._deaths_in_a_row = 0

    def prepare(self) -> Prepared:
        """Wait until the executor is ready.

        Raises:
            Interrupted: it was asked to stop.
            RunFailed: the first worker died.
            PrunetuiError, OSError: as the executor says.
        """
        self._executor.start()
        while True:
            self._pass_on_wishes()
            for outcome in self._executor.poll():
                if isinstance(outcome, Prepared):
                    return outcome
                if isinstance(outcome, Stopped):
                    raise Interrupted(self._interruption or outcome.why)
                if isinstance(outcome, Died):
                    raise Interrupted(self._interruption) if self._interruption else RunFailed(outcome.message)

    def rows(self, trials: list[Trial], kept: KeptSteps, time_latency: bool) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """Every trial with its row, as they finish; with ``time_latency`` one at a time.

        Raises:
            Interrupted: it was asked to stop, and every worker has.
            RunFailed: workers die whatever the trial.
            PrunetuiError, OSError: a worker met what the others would meet too.
        """
        under_way = _TrialsUnderWay(trials, kept, deaths_before(self._context.run))
        scheduler = under_way.scheduler
        while scheduler.unfinished:
            self._pass_on_wishes()
            if self._interruption and not scheduler.claimed:
                break
            yield from self._refused(under_way)
            if not self._interruption and not self._is_paused:
                self._submit(under_way, time_latency)
            for outcome in self._executor.poll():
                yield from self._outcome(under_way, outcome)
        if self._interruption:
            raise Interrupted(self._interruption)

    def _pass_on_wishes(self) -> None:
        """Hear the user's wishes without waiting: workers pause by themselves, and their outcomes are still wanted."""
        control = self._context.control
        wishes = control.wishes()
        self._is_paused = wishes.pause
        control.report_pause(wishes.pause)
        if (control.stop_requested() or wishes.stop) and not self._is_stopping:
            self._is_stopping = True
            self._executor.stop()
        if self._is_stopping or wishes.stop_after_step:
            self._interruption = self._interruption or "stopped between two steps"

    def _submit(self, under_way: _TrialsUnderWay, time_latency: bool) -> None:
        scheduler = under_way.scheduler
        most = 1 if time_latency else scheduler.unfinished
        self._executor.expect(min(most, scheduler.unfinished))
        while self._executor.capacity and len(scheduler.claimed) < most and (name := scheduler.claim()):
            self._executor.submit(under_way.trials[name], time_latency)

    def _outcome(self, under_way: _TrialsUnderWay, outcome: Outcome) -> Iterator[tuple[Trial, dict[str, Any]]]:
        if isinstance(outcome, Finished):
            self._deaths_in_a_row = 0
            row = dict(outcome.row)
            yield under_way.over(outcome.trial, complete=row["status"] == "done"), row
        elif isinstance(outcome, Stopped):
            self._interruption = self._interruption or outcome.why
            if outcome.trial:
                under_way.over(outcome.trial, complete=False)
        elif isinstance(outcome, Died):
            yield from self._died(under_way, outcome)

    def _died(self, under_way: _TrialsUnderWay, death: Died) -> Iterator[tuple[Trial, dict[str, Any]]]:
        trial = under_way.over(death.trial, complete=False) if death.trial else None
        self._pass_on_wishes()  # whoever stops a run may have ended its workers, too
        if self._is_stopping:
            return
        emit, where = self._context.emit, death.trial or "between two trials"
        emit(events.ProcessDied(death.trial, death.step, death.label, death.signal, death.code, death.words))
        emit(events.Log("error", f"{where}: {death.message}"))
        LOG.error("%s: %s", where, death.message)
        if trial:
            yield trial, failed_row(trial, death.message)
        if death.step:
            under_way.scheduler.died(death.step)
            return
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= MOST_IN_A_ROW:
            raise RunFailed(f"{MOST_IN_A_ROW} computing processes died one after another: {death.message}")

    def _refused(self, under_way: _TrialsUnderWay) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """Rows of the trials that need a step at which too many workers died."""
        for name, key in under_way.scheduler.refuse():
            step = under_way.kept.plan.nodes[key].step.label
            message = f"not tried: processes died in the step '{step}'; --resume tries it again"
            self._context.emit(events.Log("error", f"{name}: {message}"))
            trial = under_way.trials[name]
            yield trial, failed_row(trial, message)


class _TrialsUnderWay:
    """The scheduler's names, joined to the trials and to the store that knows which steps are finished."""

    def __init__(self, trials: list[Trial], kept: KeptSteps, died_before: Mapping[str, int]) -> None:
        self.trials = {trial.id: trial for trial in trials}
        self.kept = kept
        self.scheduler = Scheduler(kept.needs(trials), died_before)

    def over(self, name: str, complete: bool) -> Trial:
        """Tell the scheduler that a claimed trial is over; one that is not ``complete`` lacks some of its steps."""
        trial = self.trials[name]
        if complete:
            self.scheduler.done(name)
        else:
            self.scheduler.gave_up(name, set(self.kept.missing([trial])))
        return trial


def deaths_before(run: Run) -> Counter[str]:
    """Deaths of workers by step in earlier executions of the run."""
    kinds = (events.RunStarted.kind.encode(), events.ProcessDied.kind.encode())
    lines = [line for line in run.tail().lines() if any(kind in line for kind in kinds)]
    past = [event for line in lines if (event := events.from_json(line)) is not None]
    starts = [i for i, event in enumerate(past) if isinstance(event, events.RunStarted)]
    earlier = past[: starts[-1]] if starts else []
    return Counter(event.key for event in earlier if isinstance(event, events.ProcessDied) and event.key)
