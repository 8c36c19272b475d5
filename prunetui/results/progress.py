"""Folds events into what a progress display shows: the step that runs, how far all is, how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from prunetui import events


@dataclass
class _Running:
    """A step that has begun: several at once where trials run in several processes."""

    label: str
    trial: str
    work: int
    done: int = 0
    total: int = 0
    images_per_second: float = 0.0

    @property
    def work_done(self) -> float:
        return self.work * self.done / self.total if self.total else 0.0


@dataclass
class Tracker:
    """Feed it events in order; read its fields. The step shown is the one that was heard of last."""

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
    _running: dict[str, _Running] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
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
        inside = sum(step.work_done for step in self._running.values())
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
        self._running.clear()
        self._over.clear()

    def _on_step_started(self, event: events.StepStarted) -> None:
        self._running[event.key] = _Running(event.label, event.trial, event.work)
        self._show(self._running[event.key])
        self.epoch = self.epochs = 0
        self.loss = None

    def _on_progress(self, event: events.Progress) -> None:
        step = self._running.setdefault(event.key, _Running(event.key, self.trial, 0))
        step.done, step.total, step.images_per_second = event.done, event.total, event.images_per_second
        self._show(step)
        self.epoch, self.epochs, self.loss = event.epoch, event.epochs, event.loss

    def _show(self, step: _Running) -> None:
        self.step, self.trial, self.done, self.total = step.label, step.trial, step.done, step.total
        busy = [running for running in self._running.values() if running.done < running.total]
        self.images_per_second = sum(running.images_per_second for running in busy)

    def _on_step_finished(self, event: events.StepFinished) -> None:
        if not event.cached and event.key not in self._finished:
            self._finished.add(event.key)
            self.work_done += event.work
        self._running.pop(event.key, None)
        self.done = self.total = 0

    def _on_trial_finished(self, event: events.TrialFinished) -> None:
        if event.trial not in self._over:  # told again when its latency was timed afterwards
            self._over.add(event.trial)
            self.trials_done += 1
        for key in [key for key, step in self._running.items() if step.trial == event.trial]:
            del self._running[key]  # of a trial that failed or was left out

    def _on_run_finished(self, event: events.RunFinished) -> None:
        self.state, self.message = event.state, event.message
