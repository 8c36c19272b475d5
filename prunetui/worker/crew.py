"""Several trials of a study at once, each in a process of its own; they share finished steps through the store.

A trial is handed out when no trial under way still has to compute a step that it needs too: nothing is computed
twice, and each trial's numbers are those it has alone, as its randomness and its threads do not depend on the others.
Latency is not timed here, beside other work, but afterwards.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui import events
from prunetui.config import parse_study
from prunetui.errors import Interrupted, PrunetuiError, RunFailed, UsageError
from prunetui.obey import Obedience
from prunetui.plan import Trial, missing
from prunetui.stop import STOP_SIGNALS
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.worker.assembly import assemble
from prunetui.worker.logs import logging_to
from prunetui.worker.trials import failed_row, row_of

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

LISTEN_SECONDS = 0.25
PATIENCE_SECONDS = 5.0
"""How long an idle process is waited for at the end."""
Row = dict[str, Any]


@dataclass
class _Hand:
    """One process, and the trial it is at."""

    process: BaseProcess
    pipe: Connection
    trial: Trial | None = None


@dataclass
class Crew:
    """``count`` processes that execute trials of ``engine``'s plan."""

    run: Run
    engine: Engine
    count: int
    obey: Obedience
    emit: Callable[[events.Event], None]
    _hands: list[_Hand] = field(default_factory=list)
    _needs: dict[str, set[str]] = field(default_factory=dict)
    _ending: str = ""
    _paused: bool = False
    _stop: Any = None
    """A byte that the processes share. Without a lock: who is killed while holding one never gives it back."""

    def __post_init__(self) -> None:
        self._stop = multiprocessing.get_context("spawn").RawValue("b", 0)

    def rows(self, trials: list[Trial]) -> Iterator[tuple[Trial, Row]]:
        """Every trial with its row, as they finish.

        Raises:
            Interrupted: it was asked to stop, and every process has.
            PrunetuiError, OSError: a process met what the others would meet too.
        """
        engine = self.engine
        self._needs = {t.id: set(missing(engine.plan, engine.study, [t], engine.is_there)) for t in trials}
        waiting = list(trials)
        try:
            for _ in range(min(self.count, len(trials))):  # all at once: they get ready while the first one works
                self._hire()
            while waiting or self._busy:
                self._heed()
                if self._ending and not self._busy:
                    break
                if not self._ending and not self._paused:
                    self._hand_out(waiting)
                yield from self._listen()
        finally:
            self._dismiss()
        if self._ending:
            raise Interrupted(self._ending)

    @property
    def _busy(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.trial]

    def _heed(self) -> None:
        """Hear wishes without waiting: the processes pause by themselves, and what they say is still listened to."""
        wishes = self.obey.wishes()
        if wishes.pause != self._paused:
            self._paused = wishes.pause
            self.obey.tell("paused" if self._paused else "resumed")
        if self.obey.asked() or wishes.stop:
            self._stop.value = 1
        if self._stop.value or wishes.stop_after_step:
            self._ending = self._ending or "stopped between two steps"

    def _hand_out(self, waiting: list[Trial]) -> None:
        for trial in list(waiting):
            idle = next((hand for hand in self._hands if not hand.trial), None)
            if idle is None and len(self._hands) == self.count:
                return
            under_way = [self._needs[hand.trial.id] for hand in self._hands if hand.trial]
            if any(self._needs[trial.id] & needs for needs in under_way):
                continue
            idle = idle or self._hire()
            idle.trial = trial
            waiting.remove(trial)
            with suppress(OSError):  # it has died: told when its end is heard
                idle.pipe.send(trial.id)

    def _hire(self) -> _Hand:
        context = multiprocessing.get_context("spawn")  # a fork of a process that runs torch's threads may hang
        ours, theirs = context.Pipe()
        arguments = (str(self.run.folder), self.engine.device.name, self.count, theirs, self._stop)
        process = context.Process(target=_serve, args=arguments)
        # Until it can ignore them it must not hear the signals that everyone in this terminal gets.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._hands.append(_Hand(process, ours))
        return self._hands[-1]

    def _listen(self) -> Iterator[tuple[Trial, Row]]:
        pipes = {hand.pipe: hand for hand in self._hands}
        for pipe in wait(list(pipes), LISTEN_SECONDS):
            hand = pipes[pipe]  # type: ignore[index]
            try:
                said = hand.pipe.recv()
            except (EOFError, OSError):
                said = self._lost(hand)
            if isinstance(said, events.Event):
                self.emit(said)
            elif isinstance(said, Interrupted):
                hand.trial = None
                self._ending = self._ending or str(said)
            elif isinstance(said, BaseException):
                raise said
            elif said is not None and hand.trial:
                trial, hand.trial = hand.trial, None
                self._release(trial)
                yield trial, said

    def _release(self, trial: Trial) -> None:
        """The steps that a trial has computed hold back no other; of one that failed that may be some of them."""
        engine, needed = self.engine, self._needs.pop(trial.id)
        computed = needed - set(missing(engine.plan, engine.study, [trial], engine.is_there))
        for needs in self._needs.values():
            needs -= computed

    def _lost(self, hand: _Hand) -> Row | Interrupted | None:
        """What is left of a process that ended by itself."""
        hand.process.join()
        self._hands.remove(hand)
        if hand.trial is None:
            return None
        if self._ending:
            return Interrupted(self._ending)
        killed = ", perhaps for lack of memory; lower run.parallel" if hand.process.exitcode == -signal.SIGKILL else ""
        told = f"its process ended with code {hand.process.exitcode}{killed}"
        self.emit(events.Log("error", f"{hand.trial.id}: {told}"))
        return failed_row(hand.trial, told)

    def _dismiss(self) -> None:
        self._stop.value = 1
        for hand in self._hands:
            with suppress(OSError):
                hand.pipe.send(None)
        for hand in self._hands:
            hand.process.join(PATIENCE_SECONDS)
            if hand.process.is_alive():
                hand.process.kill()
            hand.pipe.close()
        self._hands.clear()


def _serve(folder: str, device: str, count: int, pipe: Connection, stop: Any) -> None:
    """A process of the crew: executes the trials it is told, until it is told None or the crew is gone."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the crew hears them, and says stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    crew = os.getppid()
    run = Run(Path(folder))

    def should_stop() -> bool:
        return bool(stop.value) or os.getppid() != crew

    obey = Obedience(should_stop, Control(run), lambda what: None)
    with suppress(EOFError, BrokenPipeError), logging_to(run.folder / "worker.log"):
        try:
            study = parse_study(run.study_text())
            made = assemble(run, study, device, obey, pipe.send, count)
        except Exception as error:
            logging.getLogger(__name__).exception("a process of the crew cannot begin")
            pipe.send(_sendable(error))
            return
        made.engine.time_latency = False
        trials = {trial.id: trial for trial in made.engine.plan.trials}
        while (name := pipe.recv()) is not None:
            try:
                pipe.send(row_of(made.engine, trials[name], obey))
            except (Interrupted, UsageError, OSError) as error:
                pipe.send(_sendable(error))


def _sendable(error: Exception) -> Exception:
    """The same in words, of a kind that can be made again from them in another process."""
    if isinstance(error, OSError | Interrupted):
        return error
    kind = UsageError if isinstance(error, UsageError) else RunFailed
    return kind(str(error) if isinstance(error, PrunetuiError) else f"{type(error).__name__}: {error}")
