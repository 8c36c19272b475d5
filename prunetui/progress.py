"""Folds events into what a progress display shows: the step that runs, how far all is, how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from prunetui import events


@dataclass
class Tracker:
    """Feed it events in order; read its fields."""

    run: str = ""
    device: str = ""
    trials: int = 0
    trials_done: int = 0
    work: int = 0
    work_done: int = 0
    step: str = ""
    trial: str = ""
    done: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    images_per_second: float = 0.0
    loss: float | None = None
    started: float = 0.0
    now: float = 0.0
    state: str = ""
    message: str = ""
    _step_work: int = 0
    _key: str = ""
    _finished: set[str] = field(default_factory=set)

    def feed(self, event: events.Event) -> None:
        """Take one event into account."""
        self.now = max(self.now, event.time)
        handler = getattr(self, f"_on_{event.kind}", None)
        if handler is not None:
            handler(event)

    @property
    def fraction(self) -> float:
        """How much of the work is done, in [0, 1]."""
        inside = self._step_work * self.done / self.total if self.total else 0
        return min(1.0, (self.work_done + inside) / self.work) if self.work else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the work done so far; None before there is any."""
        fraction, elapsed = self.fraction, self.now - self.started
        return elapsed * (1 - fraction) / fraction if fraction > 0.01 and elapsed > 0 else None

    def _on_run_started(self, event: events.RunStarted) -> None:
        self.run, self.device = event.run, event.device
        self.state, self.message = "running", ""

    def _on_planned(self, event: events.Planned) -> None:
        self.trials, self.trials_done = event.trials, event.done
        self.work, self.work_done, self.started = event.work, 0, event.time
        self._finished.clear()

    def _on_step_started(self, event: events.StepStarted) -> None:
        self._key, self.step, self.trial, self._step_work = event.key, event.label, event.trial, event.work
        self.done = self.total = self.epoch = self.epochs = 0
        self.images_per_second, self.loss = 0.0, None

    def _on_progress(self, event: events.Progress) -> None:
        if event.key != self._key:
            self._key, self.step, self._step_work = event.key, event.key, 0
        self.done, self.total, self.epoch, self.epochs = event.done, event.total, event.epoch, event.epochs
        self.images_per_second, self.loss = event.images_per_second, event.loss

    def _on_step_finished(self, event: events.StepFinished) -> None:
        if not event.cached and event.key not in self._finished:
            self._finished.add(event.key)
            self.work_done += event.work
        self._step_work = self.done = self.total = 0

    def _on_trial_finished(self, event: events.TrialFinished) -> None:
        self.trials_done += 1

    def _on_run_finished(self, event: events.RunFinished) -> None:
        self.state, self.message = event.state, event.message
