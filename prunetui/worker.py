"""Executes one run: joins the plan, the engine and the store. Nothing else joins them.

``python -m prunetui.worker RUN`` is the detached child of the terminal app; ``--batch`` calls ``execute`` in
its own process. Both leave the same folder behind.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
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
    Skipped,
    UsageError,
)
from prunetui.obey import Obedience
from prunetui.plan import Trial, build_plan
from prunetui.stop import Stop
from prunetui.store import Cache, Run, Status
from prunetui.store.book import Book
from prunetui.store.control import Control
from prunetui.store.partial import PartialFiles
from prunetui.store.run import Appender
from prunetui.store.runs import CACHE

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

# Errors of the machine, not of a trial: the next trial would meet them too.
FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


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
            with run.appender() as emit, _logging_to(run.folder / "worker.log"), book.beating():
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
            engine, name = self._engine()
            self.book.update(device=name)
            self.emit(events.RunStarted(self.run.id, name, resumed))
            code = self._trials(engine)
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

    def _engine(self) -> tuple[Engine, str]:
        """Everything heavy: imports, device, data, graph, plan."""
        from prunetui.engine.data import load_dataset
        from prunetui.engine.device import find_device, fit_threads, prepare
        from prunetui.engine.graph import trace
        from prunetui.engine.models import Architecture
        from prunetui.engine.run import Engine

        device = find_device(self.device)
        prepare(device)
        self._check_stop()
        data = load_dataset(self.study.data, self._data_report())
        model = self.study.model
        architecture = Architecture(
            model.name, data.channels, data.size, len(data.classes), model.shortcut, model.width
        )
        graph = trace(architecture).restricted(self.study.layers)
        fit_threads(graph.cost("macs", graph.dense) * self.study.train.batch_size)
        if graph.refused:
            names = ", ".join(graph.refused)
            self.emit(events.Log("info", f"channels that must stay (zero-padded shortcuts): {names}"))
        context = context_of(self.study, data.fingerprint, device)
        self.run.write_environment({**environment(device.name), "context": context})
        plan = build_plan(self.study, context, graph.units())
        cache = Cache(self.run.folder.parent / CACHE)
        partials = PartialFiles(self.run.partial)
        self._check_stop()
        engine = Engine(
            self.study,
            plan,
            data.to(device.torch),
            architecture,
            graph,
            device,
            cache,
            partials,
            self.emit,
            self.obey,
            self.obey.between_steps,
        )
        return engine, device.name

    def _check_stop(self) -> None:
        if self.obey():
            raise Interrupted("stopped before the first step")

    def _data_report(self) -> Callable[[str, int, int], None]:
        told = {"time": 0.0}

        def report(what: str, done: int, total: int) -> None:
            self._check_stop()
            now = time.monotonic()
            if now - told["time"] > 0.25 or done >= total:
                told["time"] = now
                self.emit(events.Progress(f"data: {what}", done, total, 0, 0, 0.0))

        return report

    def _trials(self, engine: Engine) -> int:
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
        self._publish(order)
        for trial in left:
            row = self._trial(engine, trial)
            self.rows[trial.id] = row
            self._publish(order)
            self.emit(events.TrialFinished(trial.id, row["status"], row))
            if row["status"] == "done":
                engine.forget(trial)
        failed = sum(row["status"] == "failed" for row in self.rows.values())
        if failed and failed == len(trials):
            return EXIT_FAILED
        return EXIT_SOME_FAILED if failed else EXIT_DONE

    def _trial(self, engine: Engine, trial: Trial) -> dict[str, Any]:
        try:
            self.obey.trial = trial.id
            row = engine.run_trial(trial)
            self._keep_model(engine, trial)
            return row
        except (Interrupted, UsageError):
            raise
        except Skipped as error:
            return {**trial.identity(), "status": "skipped", "error": str(error)}
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FATAL_ERRNO:
                raise
            logging.getLogger(__name__).exception("trial %s failed", trial.id)
            told = str(error) if isinstance(error, PrunetuiError) else f"{type(error).__name__}: {error}"
            self.emit(events.Log("error", f"{trial.id}: {told}"))
            return {**trial.identity(), "status": "failed", "error": " ".join(told.split())[:500]}

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


def context_of(study: Study, fingerprint: str, device: Any) -> Mapping[str, Any]:
    """What decides a study's numbers besides the study itself."""
    import torch

    checkpoint = study.model.checkpoint
    return {
        "images": fingerprint,
        "checkpoint": hashlib.sha256(Path(checkpoint).expanduser().read_bytes()).hexdigest() if checkpoint else None,
        "device": device.torch.type,
        "arithmetic": [device.arithmetic(study.train.precision), device.arithmetic(study.finetune.precision)],
        "torch": torch.__version__,
    }


def _words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.filename or 'while writing the run'})"
    return str(error)


class _logging_to:  # noqa: N801 - a context manager used as a function
    """Send the log and the warnings of libraries to a file while a run is executed."""

    def __init__(self, path: Path) -> None:
        self._handler = logging.FileHandler(path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def __enter__(self) -> None:
        logging.captureWarnings(True)
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        logging.captureWarnings(False)


def main() -> int:
    """Execute the run folder named on the command line, detached from any terminal."""
    stop = Stop()
    stop.listen()
    run, device = Run(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "auto"
    try:
        return execute(run, device, stop)
    except PrunetuiError as error:
        status = run.status()
        if status is not None and status.state == "queued":  # it did not even begin, and nobody reads its stderr
            run.write_status(dataclasses.replace(status, state="failed", message=str(error), finished=time.time()))
        return error.exit_code
    except Exception:  # noqa: BLE001 - already in worker.log; a detached process has nobody to tell
        traceback.print_exc()
        return EXIT_FAILED


if __name__ == "__main__":
    raise SystemExit(main())
