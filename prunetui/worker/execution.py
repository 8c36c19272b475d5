"""One run from its start to its end: the trials that are left, the rows, the status, and how it ended."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prunetui import __version__, events
from prunetui.atomic import write_atomic
from prunetui.config import Study, parse_study
from prunetui.environment import environment
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
from prunetui.obey import Obedience
from prunetui.plan import Trial
from prunetui.store import Run, Status
from prunetui.store.book import Book
from prunetui.store.control import Control
from prunetui.store.run import Appender
from prunetui.worker.assembly import Assembled, assemble
from prunetui.worker.crew import Crew
from prunetui.worker.logs import logging_to
from prunetui.worker.trials import row_of

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

Row = dict[str, Any]


def execute(run: Run, device: str, stop: Callable[[], bool]) -> int:
    """Execute or go on with a run; returns the exit code.

    Raises:
        UsageError: another process executes it, or its study cannot be read.
    """
    with run.locked():
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
            with run.appender() as emit, logging_to(run.folder / "worker.log"), book.beating():
                return _Execution(run, study, device, stop, emit, book).go(resumed)
        except OSError as error:
            message = f"{_words(error)}; what was saved so far is whole, and the run can be resumed"
            book.update_if_possible(state="failed", message=message, finished=time.time())
            raise RunFailed(message) from None


@dataclasses.dataclass
class _Execution:
    run: Run
    study: Study
    device: str
    stop: Callable[[], bool]
    emit: Appender
    book: Book
    rows: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        control = Control(self.run)
        control.clear()
        self.obey = Obedience(self.stop, control, self._told)

    def _told(self, what: str) -> None:
        self.book.update(message="paused" if what == "paused" else "")
        self.emit(events.Log("info", what))

    def go(self, resumed: bool) -> int:
        try:
            made = assemble(self.run, self.study, self.device, self.obey, self.emit)
            found = {"context": made.context, "arithmetic": made.arithmetic}
            self.run.write_environment({**environment(made.device), **found})
            self.book.update(device=made.device)
            self.emit(events.RunStarted(self.run.id, made.device, resumed))
            code = self._trials(made)
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

    def _end(self, state: str, message: str) -> None:
        self.book.update(state=state, message=message, finished=time.time())
        self.emit(events.RunFinished(state, message))

    def _trials(self, made: Assembled) -> int:
        engine = made.engine
        trials = engine.plan.trials
        order = [trial.id for trial in trials]
        skipped = {row["trial"]: row for row in engine.plan.skipped}
        order += skipped
        self.rows |= skipped
        for row in self.run.rows():
            if row["status"] == "done" and row["trial"] in order:
                self.rows[row["trial"]] = dict(row)
        left = [trial for trial in trials if trial.id not in self.rows]
        steps, work = engine.work_left(left)
        self.emit(events.Planned(len(trials), len(trials) - len(left), steps, work))
        if made.warning:
            self.emit(events.Log("warning", made.warning))
        self._publish(order)
        for trial, row in self._executed(made, left):
            self._keep_model(engine, trial)
            self.rows[trial.id] = row
            self._publish(order)
            self.emit(events.TrialFinished(trial.id, row["status"], row))
            if row["status"] == "done":
                engine.forget(trial)
        for trial in self._untimed(engine):
            row = self.rows[trial.id] = row_of(engine, trial, self.obey)
            self._publish(order)
            self.emit(events.TrialFinished(trial.id, row["status"], row))
        failed = sum(row["status"] == "failed" for row in self.rows.values())
        if failed and failed == len(trials):
            return EXIT_FAILED
        return EXIT_SOME_FAILED if failed else EXIT_DONE

    def _executed(self, made: Assembled, left: list[Trial]) -> Iterator[tuple[Trial, Row]]:
        """The trials with their rows, one after the other or several at once."""
        if made.processes > 1 and len(left) > 1:
            yield from Crew(self.run, made.engine, made.processes, self.obey, self.emit).rows(left)
        else:
            yield from ((trial, row_of(made.engine, trial, self.obey)) for trial in left)

    def _untimed(self, engine: Engine) -> list[Trial]:
        """Trials whose latency is still to be timed: those that were executed beside others."""
        return [
            trial
            for trial in engine.plan.trials
            if engine.is_timed(trial) and (row := self.rows[trial.id])["status"] == "done" and not row.get("latency_ms")
        ]

    def _keep_model(self, engine: Engine, trial: Trial) -> None:
        """The final network under the trial's name: a second name of the cached file, not a copy."""
        source = engine.model_file(trial)
        if source is None or not self.study.measure.keep_models:
            return
        target = self.run.models / f"{trial.id}.safetensors"
        self.run.models.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            write_atomic(target, source.read_bytes())

    def _publish(self, order: list[str]) -> None:
        rows = [self.rows[name] for name in order if name in self.rows]
        self.run.write_rows(rows)
        dense = [float(row["top1_dense"]) for row in rows if row.get("top1_dense")]
        best = [float(row["top1"]) for row in rows if row.get("top1") and row["method"] != "dense"]
        self.book.update(
            trials=len(order) - sum(bool(row["status"] == "skipped") for row in rows),
            done=sum(row["status"] == "done" for row in rows),
            failed=sum(row["status"] == "failed" for row in rows),
            top1_dense=round(sum(dense) / len(dense), 4) if dense else None,
            top1_best=max(best, default=None),
        )


def _words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.filename or 'while writing the run'})"
    return str(error)
