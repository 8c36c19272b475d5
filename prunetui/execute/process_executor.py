"""Executes trials in computing processes, one or several at once, which share finished steps through the store.

The process that owns the run never computes, so whatever a network, a method or a kernel does to its process costs the
trial it is at: it fails with the signal, the step and the last words, and another process goes on. Each trial's numbers
are those it has alone, as its randomness and its threads do not depend on the others.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from prunetui import events
from prunetui.errors import Interrupted, RunFailed
from prunetui.execute.child_processes import ChildProcesses, child_processes
from prunetui.execute.deaths import how_it_ended, last_words, open_log, signal_name, size_of
from prunetui.execute.kept_steps import KeptSteps
from prunetui.execute.messages import Begin, Compute, End, Prepared, Row, Stop, Stopped, Unable
from prunetui.execute.run_control import Obedience
from prunetui.execute.scheduler import Scheduler
from prunetui.execute.trials import failed_row
from prunetui.plan import Trial, label
from prunetui.store import Run

LISTEN_SECONDS = 0.1
PATIENCE_SECONDS = 5.0
"""How long a process may take to end."""
MOST_IN_A_ROW = 3
"""Processes that may die one after another with no trial finished between: then it is no fault of a trial."""
TrialRow = tuple[Trial, dict[str, Any]]


@dataclass
class _Child:
    """A computing process and what it is at."""

    process: int
    pipe: Connection
    trial: Trial | None = None
    is_ready: bool = False
    steps: list[events.StepStarted] = field(default_factory=list)
    """Those begun and not finished, outermost first."""
    log_start: int = 0


@dataclass
class ProcessExecutor:
    """Trials of a run in processes of their own."""

    run: Run
    device: str
    obey: Obedience
    emit: Callable[[events.Event], None]
    threads: int | None = None
    """CPU threads of each process; None lets the study decide."""
    start_processes: Callable[[], ChildProcesses] = child_processes
    _children: list[_Child] = field(default_factory=list)
    _died_in_a_row: int = 0
    _fewer: int = 0
    """Processes that could not begin beside others."""
    _count: int | None = None
    _ending: str = ""
    _stopping: bool = False
    _paused: bool = False

    def __enter__(self) -> ProcessExecutor:
        self._processes = self.start_processes()
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss()
        self._processes.close()

    @property
    def _log(self) -> Path:
        return self.run.folder / "worker.log"

    def prepare(self) -> Prepared:
        """Let a first process get ready, which reads the data and makes the plan.

        Raises:
            Interrupted: it was asked to stop.
            RunFailed: the process died.
            PrunetuiError, OSError: as the process says.
        """
        child = self._start()
        while True:
            self._heed()
            for _, said in self._listen():
                if isinstance(said, Prepared):
                    self._count, child.is_ready = said.processes, True
                    return said
                if said is None and self._ending:
                    raise Interrupted(self._ending)
                if said is None:
                    raise RunFailed(self._told(child, self._processes.ended(child.process, PATIENCE_SECONDS)))

    def rows(self, trials: list[Trial], kept: KeptSteps, time_latency: bool) -> Iterator[TrialRow]:
        """Every trial with its row, as they finish; with ``time_latency`` one at a time.

        Raises:
            Interrupted: it was asked to stop, and every process has.
            RunFailed: processes die whatever the trial.
            PrunetuiError, OSError: a process met what the others would meet too.
        """
        scheduler = Scheduler(deque(trials), lambda trial: set(kept.missing([trial])), self._died_before())
        count = 1 if time_latency else min(self._count or 1, len(trials))
        while not scheduler.is_over:
            self._heed()
            if self._ending and not any(child.trial for child in self._children):
                break
            for trial, key in scheduler.refused():
                yield trial, self._refused(kept, trial, key)
            if not self._ending and not self._paused:
                self._hand_out(scheduler, count, time_latency)
            for child, said in self._listen():
                yield from self._answered(scheduler, child, said)
        if self._ending:
            raise Interrupted(self._ending)

    def _died_before(self) -> Counter[str]:
        """Deaths by step in earlier executions of the run."""
        kinds = (events.RunStarted.kind.encode(), events.ProcessDied.kind.encode())
        lines = [line for line in self.run.tail().lines() if any(kind in line for kind in kinds)]
        past = [event for line in lines if (event := events.from_json(line)) is not None]
        began = [i for i, event in enumerate(past) if isinstance(event, events.RunStarted)]
        earlier = past[: began[-1]] if began else []
        return Counter(event.key for event in earlier if isinstance(event, events.ProcessDied) and event.key)

    # Wishes ---------------------------------------------------------------------------------------

    def _heed(self) -> None:
        """Hear wishes without waiting: the processes pause by themselves, and what they say is still listened to."""
        wishes = self.obey.wishes()
        if wishes.pause != self._paused:
            self._paused = wishes.pause
            self.obey.tell("paused" if self._paused else "resumed")
        if (self.obey.asked() or wishes.stop) and not self._stopping:
            self._stopping = True
            self._tell_all(Stop())
        if self._stopping or wishes.stop_after_step:
            self._ending = self._ending or "stopped between two steps"

    def _tell_all(self, message: object) -> None:
        for child in self._children:
            with suppress(OSError):  # it has died: told when its end is heard
                child.pipe.send(message)

    # Processes ------------------------------------------------------------------------------------

    def _start(self) -> _Child:
        log = open_log(self._log)
        try:
            process, pipe = self._processes.start(log)
        finally:
            os.close(log)
        child = _Child(process, pipe, log_start=size_of(self._log))
        self._children.append(child)
        begin = Begin(
            folder=str(self.run.folder.resolve()),
            device=self.device,
            processes=self._count,
            threads=self.threads,
            path=tuple(entry for entry in sys.path if entry),  # "" is the working folder
            environment=dict(os.environ),
            working_folder=str(Path.cwd()),
        )
        with suppress(OSError):
            pipe.send(begin)
        return child

    def _hand_out(self, scheduler: Scheduler, count: int, time_latency: bool) -> None:
        busy = sum(child.trial is not None for child in self._children)
        while len(self._children) < min(max(1, count - self._fewer), busy + len(scheduler.waiting)):
            self._start()
        for child in self._children:
            if child.trial or not child.is_ready or (time_latency and busy):
                continue
            trial = scheduler.next()
            if trial is None:
                return
            busy += 1
            child.trial, child.steps, child.log_start = trial, [], size_of(self._log)
            with suppress(OSError):  # it has died: told when its end is heard
                child.pipe.send(Compute(trial.id, time_latency))

    def _listen(self) -> Iterator[tuple[_Child, object]]:
        """What the processes say; None, at last, of one that has died."""
        dead = self._processes.died()
        pipes = {child.pipe: child for child in self._children}
        for pipe in wait(list(pipes), LISTEN_SECONDS if pipes else 0):
            yield from self._heard(pipes[pipe])  # type: ignore[index]
        for child in [child for child in self._children if child.process in dead]:
            while child in self._children and child.pipe.poll():
                yield from self._heard(child)
            if child in self._children:
                self._children.remove(child)
                yield child, None

    def _heard(self, child: _Child) -> Iterator[tuple[_Child, object]]:
        try:
            said = child.pipe.recv()
        except (EOFError, OSError):
            self._children.remove(child)
            said = None
        if isinstance(said, Unable):
            self._unable(child, said.error)
        elif isinstance(said, events.Event):
            self._pass_on(child, said)
        else:
            if isinstance(said, Stopped):
                self._ending = self._ending or said.why
            yield child, said

    def _unable(self, child: _Child, error: Exception) -> None:
        """A process that cannot begin beside others that work leaves it to them; all else ends the run."""
        others = [other for other in self._children if other is not child and other.is_ready]
        if child.is_ready or not others:
            raise error
        self._fewer += 1
        self.emit(events.Log("warning", f"one process fewer computes, as it cannot begin: {error}"))

    def _pass_on(self, child: _Child, event: events.Event) -> None:
        """Emit an event of a process; what those say that get ready beside the first one, it has said already."""
        if isinstance(event, events.StepStarted):
            child.steps.append(event)
        elif isinstance(event, events.StepFinished):
            child.steps = [step for step in child.steps if step.key != event.key]
        if child.is_ready or self._count is None:
            self.emit(event)

    def _answered(self, scheduler: Scheduler, child: _Child, said: object) -> Iterator[TrialRow]:
        if isinstance(said, Prepared):
            child.is_ready = True
        elif isinstance(said, Row) and child.trial:
            trial, child.trial = child.trial, None
            self._died_in_a_row = 0
            row = dict(said.row)
            scheduler.finished(trial, row["status"] == "done")
            yield trial, row
        elif isinstance(said, Stopped) and child.trial:
            scheduler.finished(child.trial, False)
            child.trial = None
        elif said is None:
            yield from self._died(scheduler, child)

    # Deaths ---------------------------------------------------------------------------------------

    def _died(self, scheduler: Scheduler, child: _Child) -> Iterator[TrialRow]:
        code = self._processes.ended(child.process, PATIENCE_SECONDS)
        child.pipe.close()
        trial, step = child.trial, child.steps[-1] if child.steps else None
        if trial:
            scheduler.finished(trial, False)
        self._heed()  # who stops a run may have ended its processes, too
        if self._stopping:
            return
        told = self._told(child, code)
        key, label = (step.key, step.label) if step else ("", "")
        name = trial.id if trial else ""
        words = last_words(self._log, child.log_start)
        self.emit(events.ProcessDied(name, key, label, signal_name(code), code, words))
        self.emit(events.Log("error", f"{name or 'between two trials'}: {told}"))
        logging.getLogger(__name__).error("%s: %s", name or "between two trials", told)
        if trial:
            yield trial, failed_row(trial, told)
        if step:
            scheduler.died(key)
        else:
            self._died_in_a_row += 1
            if self._died_in_a_row >= MOST_IN_A_ROW:
                raise RunFailed(f"{MOST_IN_A_ROW} computing processes died one after another: {told}")

    def _told(self, child: _Child, code: int | None) -> str:
        """How a process ended, where, and what it said last."""
        if child.steps:
            at = f"in the step '{child.steps[-1].label}'"
        else:
            at = "between two steps" if child.is_ready else "while it was getting ready"
        words = last_words(self._log, child.log_start)
        return f"its process was ended {how_it_ended(code)} {at}" + (f"; it said: {words}" if words else "")

    def _refused(self, kept: KeptSteps, trial: Trial, key: str) -> dict[str, Any]:
        told = f"not tried: processes died in the step '{label(kept.plan.nodes[key].step)}'; --resume tries it again"
        self.emit(events.Log("error", f"{trial.id}: {told}"))
        return failed_row(trial, told)

    def _dismiss(self) -> None:
        self._tell_all(Stop())
        self._tell_all(End())
        for child in self._children:
            self._processes.ended(child.process, PATIENCE_SECONDS)
            child.pipe.close()
        self._children.clear()
