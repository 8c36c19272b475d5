"""Which trial may begin next, and which never again: pure bookkeeping on names, without processes, files or clocks.

A trial is ready when no claimed trial still has to compute a step that it needs too, so that nothing is computed twice.
A step at which workers died is tried twice in one execution of a run, and once more each time the run is resumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

MOST_DEATHS = 2
"""How often workers may die at one step in one execution of a run."""


class Scheduler:
    """Trials that are waiting, claimed or over, by their ids, and the keys of the steps that each still needs."""

    def __init__(self, needs: Mapping[str, Set[str]], died_before: Mapping[str, int] | None = None) -> None:
        """``needs``: for each trial, in order, the keys of the steps that are not finished yet.

        ``died_before`` counts the deaths at each step in earlier executions of the run.
        """
        self._waiting = dict(needs)
        self._claimed: dict[str, Set[str]] = {}
        self._computed: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._died_before = died_before or {}

    @property
    def waiting(self) -> list[str]:
        """Trials that have not begun, in order."""
        return list(self._waiting)

    @property
    def claimed(self) -> list[str]:
        """Trials that are being executed, in the order in which they began."""
        return list(self._claimed)

    @property
    def unfinished(self) -> int:
        """How many trials are waiting or claimed."""
        return len(self._waiting) + len(self._claimed)

    def needed(self, trial: str) -> Set[str]:
        """The steps that a waiting trial needs and that are not computed yet."""
        return self._waiting[trial] - self._computed

    def waits_for(self, trial: str) -> list[str]:
        """The claimed trials that still compute a step which this waiting trial needs."""
        needs = self._waiting[trial]
        return [other for other, steps in self._claimed.items() if not needs.isdisjoint(steps)]

    def claim(self) -> str | None:
        """Take the first trial that is ready; None while none is."""
        for trial in self._waiting:
            if not self.waits_for(trial):
                self._claimed[trial] = self.needed(trial)
                del self._waiting[trial]
                return trial
        return None

    def done(self, trial: str) -> None:
        """A claimed trial has computed all its steps."""
        self._computed |= self._claimed.pop(trial)

    def gave_up(self, trial: str, missing: Set[str]) -> None:
        """A claimed trial failed, was stopped or its worker died; of its steps ``missing`` are not computed."""
        self._computed |= self._claimed.pop(trial) - missing

    def died(self, step: str) -> None:
        """A worker died while it computed this step."""
        self._deaths[step] += 1

    def refuse(self) -> list[tuple[str, str]]:
        """Take out the waiting trials that need a step at which too many workers died: pairs of trial and step."""
        deadly = {step for step in self._deaths if self._is_deadly(step)}
        if not deadly:
            return []
        refused = [(trial, min(steps)) for trial in self._waiting if (steps := deadly & self.needed(trial))]
        for trial, _ in refused:
            del self._waiting[trial]
        return refused

    def _is_deadly(self, step: str) -> bool:
        return self._deaths[step] >= (1 if self._died_before.get(step) else MOST_DEATHS)
