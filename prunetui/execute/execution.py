"""One execution of a run from start to end: the trials that are left, their rows, the status, and how it ended.

It knows the scheduler's loop, the interface of executors and the store; where and how trials are computed is the
executor's.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from prunetui import __version__, events
from prunetui.config import Study, parse_study
from prunetui.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    Interrupted,
    PrunetuiError,
    RunFailed,
    UsageError,
)
from prunetui.execute.event_order import StartedFirst
from prunetui.execute.executor import ExecutionContext, Prepared
from prunetui.execute.executor_registry import ExecutorFactory, find_executor
from prunetui.execute.kept_steps import KeptSteps
from prunetui.execute.run_control import RunControl
from prunetui.execute.run_log import logging_to
from prunetui.execute.trial_loop import TrialLoop
from prunetui.files.atomic import copy_atomic
from prunetui.plan import Trial
from prunetui.store import Cache, Run, Status
from prunetui.store.control import Control
from prunetui.store.environment import environment, read_environment
from prunetui.store.rebuild import set_aside
from prunetui.store.results import dense_and_best
from prunetui.store.run_list import CACHE
from prunetui.store.status_writer import Book


def execute(run: Run, device: str, stop: Callable[[], bool], executor: str = "processes") -> int:
    """Execute or resume a run; returns the exit code.

    ``executor`` is the name of the executor that computes: ``processes`` does so in worker processes, so that a crash
    costs a trial and not the run.

    Raises:
        UsageError: another process executes it, its study cannot be read, or there is no such executor.
    """
    make_executor = find_executor(executor)
    with run.locked() as aside:
        place = run.place()
        try:
            text = run.study_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the study of the run {run.id}: {error}") from None
        study = parse_study(text, file=str(run.folder / "study.toml"))
        status = run.status() or Status(state="queued")
        resumed = status.started > 0
        status = dataclasses.replace(
            status, state="running", pid=os.getpid(), host=socket.gethostname(), heartbeat=time.time(),
            started=status.started or time.time(), finished=0.0, message="", version=__version__,
        )  # fmt: skip
        book = Book(run, status)
        try:
            with run.appender() as events_file, logging_to(run.folder / "worker.log"), book.beating():
                emit = StartedFirst(events_file)
                for line in aside:
                    emit(events.Log("warning", line))
                return _Execution(run, study, device, stop, emit, book, make_executor).execute(resumed)
        except OSError as error:
            if run.place() != place:
                raise RunFailed(
                    f"{run.folder} is no longer the folder of this run: it was deleted, moved or replaced while it was "
                    "executed; if it is somewhere else, it can be resumed there"
                ) from None
            message = f"{_reason(error)}; what was saved so far is whole, and the run can be resumed"
            book.update_if_possible(state="failed", message=message, finished=time.time())
            raise RunFailed(message) from None


@dataclasses.dataclass
class _Execution:
    run: Run
    study: Study
    device: str
    stop: Callable[[], bool]
    emit: StartedFirst
    book: Book
    make_executor: ExecutorFactory
    rows: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        control = Control(self.run)
        control.clear()
        self.control = RunControl(self.stop, control, self._on_pause)

    def _on_pause(self, what: str) -> None:
        self.book.update(message="paused" if what == "paused" else "")
        self.emit(events.Log("info", what))

    def execute(self, resumed: bool) -> int:
        try:
            context = self._context(recorded_conditions(self.run) if resumed else {})
            with closing(self.make_executor(context)) as executor:
                code = self._trials(TrialLoop(context, executor), resumed)
        except Interrupted as error:
            self._end("interrupted", str(error))
            return EXIT_INTERRUPTED
        except PrunetuiError as error:
            logging.getLogger(__name__).error("%s", error)
            self._end("failed", str(error))
            raise
        except OSError:  # of the store: told by the caller, who may still be able to write
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("the run failed")
            self._end("failed", f"{type(error).__name__}: {error}")
            raise
        self._end("done" if code != EXIT_FAILED else "failed", "" if code == EXIT_DONE else "some trials failed")
        return code

    def _context(self, before: Mapping[str, Any]) -> ExecutionContext:
        """``before`` is what an earlier execution of the run recorded: the number of threads decides last digits."""
        threads = before.get("threads")
        threads = threads if isinstance(threads, int) and threads > 0 else None
        return ExecutionContext(self.run, self.study, self.device, threads, self.control, self.emit)

    def _end(self, state: str, message: str) -> None:
        self.book.update(state=state, message=message, finished=time.time())
        self.emit(events.RunFinished(state, message))

    def _trials(self, loop: TrialLoop, resumed: bool) -> int:
        prepared = loop.prepare()
        self._record(prepared)
        self.emit(events.RunStarted(self.run.id, prepared.device, resumed))
        cache = Cache(self.run.folder.parent / CACHE)
        kept = KeptSteps(prepared.plan, cache, prepared.timer, prepared.images)
        trials, skipped = prepared.plan.trials, {row["trial"]: row for row in prepared.plan.skipped}
        order = [*(trial.id for trial in trials), *skipped]
        self.rows |= skipped
        found = self.run.healed_rows()
        if found.trouble:
            self.emit(events.Log("warning", found.trouble))
        for row in found.rows:
            if row["status"] == "done" and row["trial"] in order:
                self.rows[row["trial"]] = dict(row)
        left = [trial for trial in trials if trial.id not in self.rows]
        steps, work = kept.work_left(left)
        self.emit(events.Planned(len(trials), len(trials) - len(left), steps, work))
        self._publish(order)
        # Latency is not timed beside other work, but afterwards.
        alone = prepared.parallel == 1 or len(left) == 1
        for trial, row in loop.rows(left, kept, time_latency=alone):
            self._keep_model(kept, trial)
            self._finish(order, trial, row)
            if row["status"] == "done":
                kept.forget(trial)
        for trial, row in loop.rows(self._untimed(kept), kept, time_latency=True):
            if row["status"] != "done":  # the trial's figures are there all the same
                row = {**self.rows[trial.id], "note": f"latency was not timed: {row['error']}"}
            self._finish(order, trial, row)
        failed = sum(row["status"] == "failed" for row in self.rows.values())
        if failed and failed == len(trials):
            return EXIT_FAILED
        return EXIT_SOME_FAILED if failed else EXIT_DONE

    def _record(self, prepared: Prepared) -> None:
        """Record the machine, and warn of what differs from an earlier execution: it may change figures."""
        before, now = recorded_conditions(self.run), dict(prepared.conditions)
        changed = [
            f"{name} {before[name]} -> {now[name]}" for name in before if name in now and before[name] != now[name]
        ]
        if changed and self.run.rows():
            message = "figures of this run were begun under other conditions, and not all can be compared: "
            self.emit(events.Log("warning", message + "; ".join(changed)))
        self.run.write_environment({**environment(prepared.device), **prepared.machine, "context": now})
        self.book.update(device=prepared.device, metrics=prepared.metrics)

    def _finish(self, order: list[str], trial: Trial, row: dict[str, Any]) -> None:
        self.rows[trial.id] = row
        self._publish(order)
        self.emit(events.TrialFinished(trial.id, row["status"], row))

    def _untimed(self, kept: KeptSteps) -> list[Trial]:
        """Trials whose latency is still to be timed: those that were executed beside others."""
        return [
            trial
            for trial in kept.plan.trials
            if kept.is_timed(trial) and (row := self.rows[trial.id])["status"] == "done" and not row.get("latency_ms")
        ]

    def _keep_model(self, kept: KeptSteps, trial: Trial) -> None:
        """Save the final network under the trial's name: a copy, so that no change of it reaches the cached file."""
        source = kept.model_file(trial)
        if source is None or not self.study.measure.keep_models:
            return
        target = self.run.models / f"{trial.id}.safetensors"
        self.run.models.mkdir(exist_ok=True)
        if target.is_dir():
            set_aside(target)
        try:
            copy_atomic(source, target, kept.model_sha256(trial))
        except ValueError as error:
            self.emit(events.Log("warning", f"the network of {trial.id} was not kept: {error}"))

    def _publish(self, order: list[str]) -> None:
        rows = [self.rows[name] for name in order if name in self.rows]
        metrics = self.book.status.metrics
        self.run.write_rows(rows, metrics)
        dense, best = dense_and_best(rows, metrics)
        self.book.update(
            trials=len(order) - sum(bool(row["status"] == "skipped") for row in rows),
            done=sum(row["status"] == "done" for row in rows),
            failed=sum(row["status"] == "failed" for row in rows),
            dense=dense,
            best=best,
        )


def recorded_conditions(run: Run) -> Mapping[str, Any]:
    """What decided the figures of an earlier execution besides the study; empty when it is not known."""
    context = (read_environment(run.folder) or {}).get("context")
    return context if isinstance(context, dict) else {}


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.filename or 'while writing the run'})"
    return str(error)
