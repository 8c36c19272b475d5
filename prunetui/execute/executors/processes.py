"""Executes trials in worker processes of this machine, one or several at once, which share steps through the store.

The process that owns the run never computes, so whatever a network, a method or a kernel does to its process costs the
trial it is at: it fails with the signal, the step and the last words, and another worker goes on. Each trial's numbers
are those it has alone, as its randomness and its threads do not depend on the others.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from prunetui import events
from prunetui.execute.executor import Died, ExecutionContext, Finished, Outcome, Prepared, Stopped
from prunetui.execute.executor_registry import executor
from prunetui.execute.executors.workers.exit_reason import exit_reason, signal_name
from prunetui.execute.executors.workers.heap_settings import has_large_batches
from prunetui.execute.executors.workers.process_starter import ProcessStarter, process_starter
from prunetui.execute.executors.workers.worker_log import last_words, log_size, open_log
from prunetui.execute.executors.workers.worker_messages import Begin, Compute, End, StopWork, Unable
from prunetui.plan import Trial

POLL_SECONDS = 0.1
EXIT_SECONDS = 5.0
"""How long a worker may take to end."""


@dataclass(eq=False)
class WorkerProcess:
    """A worker process and what it is doing."""

    process: int
    pipe: Connection
    trial: str = ""
    is_ready: bool = False
    steps: list[events.StepStarted] = field(default_factory=list)
    """Those begun and not finished, outermost first."""
    log_start: int = 0
    """Where the run's log ended when the trial began."""

    @property
    def is_free(self) -> bool:
        return self.is_ready and not self.trial

    def send(self, message: object) -> None:
        with suppress(OSError):  # it has died: its end is noticed by ``poll``
            self.pipe.send(message)


@executor("processes")
class ProcessExecutor:
    """Trials of a run in worker processes of this machine."""

    def __init__(self, context: ExecutionContext) -> None:
        self.context = context
        self._starter: ProcessStarter | None = None
        self._workers: list[WorkerProcess] = []
        self._parallel: int | None = None
        """How many workers share the device; unknown until the first one is ready."""
        self._failed_starts = 0
        """Workers that could not begin beside others."""

    @property
    def _log(self) -> Path:
        return self.context.run.folder / "worker.log"

    def start(self) -> None:
        study = self.context.study
        largest = max(study.train.batch_size, study.finetune.batch_size)
        self._starter = process_starter(has_large_batches(largest, self.context.device))
        self._start_worker(self._starter)

    @property
    def capacity(self) -> int:
        return sum(worker.is_free for worker in self._workers)

    def expect(self, trials: int) -> None:
        assert self._starter is not None
        most = max(1, (self._parallel or 1) - self._failed_starts)
        while len(self._workers) < min(most, trials):
            self._start_worker(self._starter)

    def submit(self, trial: Trial, time_latency: bool) -> None:
        worker = next(worker for worker in self._workers if worker.is_free)
        worker.trial, worker.steps, worker.log_start = trial.id, [], log_size(self._log)
        worker.send(Compute(trial.id, time_latency))

    def poll(self) -> Iterator[Outcome]:
        assert self._starter is not None
        exited = self._starter.exited()
        pipes = {worker.pipe: worker for worker in self._workers}
        if not pipes:
            time.sleep(POLL_SECONDS)
        for pipe in wait(list(pipes), POLL_SECONDS if pipes else 0):
            yield from self._receive(pipes[pipe])  # type: ignore[index]
        for worker in [worker for worker in self._workers if worker.process in exited]:
            while worker in self._workers and worker.pipe.poll():
                yield from self._receive(worker)
            if worker in self._workers:
                yield self._death(worker)

    def stop(self) -> None:
        for worker in self._workers:
            worker.send(StopWork())

    def close(self) -> None:
        if self._starter is None:
            return
        for worker in self._workers:
            worker.send(StopWork())
            worker.send(End())
        for worker in self._workers:
            self._starter.exit_code(worker.process, EXIT_SECONDS)
            worker.pipe.close()
        self._workers.clear()
        self._starter.close()

    def _start_worker(self, starter: ProcessStarter) -> WorkerProcess:
        log = open_log(self._log)
        try:
            process, pipe = starter.start(log)
        finally:
            os.close(log)
        worker = WorkerProcess(process, pipe, log_start=log_size(self._log))
        self._workers.append(worker)
        begin = Begin(
            folder=str(self.context.run.folder.resolve()),
            device=self.context.device,
            parallel=self._parallel,
            threads=self.context.threads,
            path=tuple(entry for entry in sys.path if entry),  # "" is the working folder
            environment=dict(os.environ),
            working_folder=str(Path.cwd()),
        )
        worker.send(begin)
        return worker

    # Messages -------------------------------------------------------------------------------------

    def _receive(self, worker: WorkerProcess) -> Iterator[Outcome]:
        """Read one message of a worker, or notice that its pipe is closed."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            yield self._death(worker)
            return
        if isinstance(message, Unable):
            self._cannot_begin(worker, message.error)
        elif isinstance(message, events.Event):
            self._pass_on(worker, message)
        elif isinstance(message, Prepared):
            worker.is_ready = True
            if self._parallel is None:
                self._parallel = message.parallel
                yield message
        elif isinstance(message, Finished | Stopped):
            worker.trial = ""
            yield message

    def _cannot_begin(self, worker: WorkerProcess, error: Exception) -> None:
        """A worker that cannot begin beside others that work leaves it to them; all else ends the run."""
        others = [other for other in self._workers if other is not worker and other.is_ready]
        if worker.is_ready or not others:
            raise error
        self._failed_starts += 1
        self.context.emit(events.Log("warning", f"one process fewer computes, as it cannot begin: {error}"))

    def _pass_on(self, worker: WorkerProcess, event: events.Event) -> None:
        """Emit an event; a worker that gets ready beside the first one says only what that one has said already."""
        if isinstance(event, events.StepStarted):
            worker.steps.append(event)
        elif isinstance(event, events.StepFinished):
            worker.steps = [step for step in worker.steps if step.key != event.key]
        if worker.is_ready or self._parallel is None:
            self.context.emit(event)

    # Deaths ---------------------------------------------------------------------------------------

    def _death(self, worker: WorkerProcess) -> Died:
        """Take out a worker that has ended, and tell how."""
        assert self._starter is not None
        self._workers.remove(worker)
        code = self._starter.exit_code(worker.process, EXIT_SECONDS)
        worker.pipe.close()
        words = last_words(self._log, worker.log_start)
        step = worker.steps[-1] if worker.steps else None
        if step:
            where = f"in the step '{step.label}'"
        else:
            where = "between two steps" if worker.is_ready else "while it was getting ready"
        return Died(
            message=f"its process was ended {exit_reason(code)} {where}" + (f"; it said: {words}" if words else ""),
            trial=worker.trial,
            step=step.key if step else "",
            label=step.label if step else "",
            signal=signal_name(code),
            code=code,
            words=words,
        )
