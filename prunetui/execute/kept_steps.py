"""Which steps of a plan are finished in the store, and what of them may go; for who owns a run and loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prunetui.plan import missing
from prunetui.store import Cache
from prunetui.tree import Node, Plan, SplitSizes, Trial, is_kept

MODEL = "model.safetensors"
"""The file of a finished step that holds the network after it."""


@dataclass
class KeptSteps:
    """Finished steps of a plan."""

    plan: Plan
    cache: Cache
    timer: Mapping[str, str]
    """Where and with what latency is timed here: one of another machine is not this one."""
    images: SplitSizes

    def is_there(self, node: Node) -> bool:
        """Whether a step's result is kept, with the momentum if this plan goes on with it."""
        return is_kept(node, self.cache.meta(node.key), self._carrying, self.timer)

    @cached_property
    def _carrying(self) -> set[str]:
        return self.plan.carrying()

    @cached_property
    def _users(self) -> dict[str, int]:
        return self.plan.users()

    def missing(self, trials: list[Trial]) -> dict[str, Node]:
        """The steps that ``trials`` still need."""
        return missing(self.plan, trials, self.is_there)

    def needs(self, trials: list[Trial]) -> dict[str, set[str]]:
        """By the ids of ``trials``, the keys of the steps that each of them still needs."""
        there: dict[str, bool] = {}  # a step that many trials share is looked up once

        def is_there(node: Node) -> bool:
            if node.key not in there:
                there[node.key] = self.is_there(node)
            return there[node.key]

        return {trial.id: set(missing(self.plan, [trial], is_there)) for trial in trials}

    def work_left(self, trials: list[Trial]) -> tuple[int, int]:
        """Number and size, in images passed forward, of the steps that ``trials`` still need."""
        left = self.missing(trials)
        return len(left), sum(node.step.work(self.images) for node in left.values())

    def is_timed(self, trial: Trial) -> bool:
        """Whether latency is measured of a trial."""
        return any(step.timed for _, step in self.plan.measurements[trial.id].values())

    def model_file(self, trial: Trial) -> Path | None:
        """The saved network of a finished trial."""
        return self.cache.file(trial.after, MODEL)

    def model_sha256(self, trial: Trial) -> str | None:
        """The digest of the saved network as it was written."""
        return self.cache.sha256(trial.after, MODEL)

    def forget(self, trial: Trial) -> None:
        """Drop the states that only this finished trial needed on its way; its last one stays."""
        for node in self.plan.path(trial.after)[:-1]:
            if self._users[node.key] == 1 and node.key not in (trial.dense, trial.control):
                self.cache.drop(node.key)
