"""Which trial is executed next, and which never again: pure bookkeeping, no processes.

A trial is handed out when no trial under way still has to compute a step that it needs too, so that nothing is computed
twice. A step at which processes died is tried twice in one execution of a run, and once more each time it is resumed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prunetui.plan import Trial

MOST_DEATHS = 2
"""How often processes may die at one step in one execution of a run."""


@dataclass
class Scheduler:
    """Trials that wait or are under way, and the steps that each still has to compute."""

    waiting: deque[Trial]
    needs_of: Callable[[Trial], set[str]]
    """Keys of the steps that a trial still needs, as the store has it now."""
    died_before: Mapping[str, int] = field(default_factory=dict)
    """Deaths by key of the step in earlier executions of the run."""
    _under_way: dict[str, set[str]] = field(default_factory=dict)
    _computed: set[str] = field(default_factory=set)
    _needs: dict[str, set[str]] = field(default_factory=dict)
    _deaths: Counter[str] = field(default_factory=Counter)

    @property
    def is_over(self) -> bool:
        """Whether nothing waits or is under way."""
        return not (self.waiting or self._under_way)

    def refused(self) -> Iterable[tuple[Trial, str]]:
        """Take out the waiting trials that need a step at which too many processes died; with that step's key."""
        if not (fatal := {key for key in self._deaths if self._is_fatal(key)}):
            return
        for trial in list(self.waiting):
            if keys := fatal & self._open(trial):
                self.waiting.remove(trial)
                yield trial, min(keys)

    def next(self) -> Trial | None:
        """The next trial that may begin, which is then under way; None while none may."""
        for trial in self.waiting:
            needs = self._open(trial)
            if not any(needs & others for others in self._under_way.values()):
                self.waiting.remove(trial)
                self._under_way[trial.id] = needs
                return trial
        return None

    def finished(self, trial: Trial, complete: bool) -> None:
        """A trial is over; one that is not ``complete`` has computed only some of its steps."""
        needed = self._under_way.pop(trial.id)
        self._needs.pop(trial.id, None)
        self._computed |= needed if complete else needed - self.needs_of(trial)

    def died(self, key: str) -> None:
        """A process died while it computed the step with this key."""
        self._deaths[key] += 1

    def _is_fatal(self, key: str) -> bool:
        return self._deaths[key] >= (1 if self.died_before.get(key) else MOST_DEATHS)

    def _open(self, trial: Trial) -> set[str]:
        """The steps that a waiting trial needs and nobody has computed since it was looked at first."""
        if trial.id not in self._needs:
            self._needs[trial.id] = self.needs_of(trial)
        self._needs[trial.id] -= self._computed
        return self._needs[trial.id]
