"""The single steps of a trial: each is added to a plan after another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prunetui.config import MethodTable, Study
from prunetui.config.choices import Applied, applied, info_of, is_masked, schedule_of, shaping_epochs, target_of
from prunetui.config.schedule import SHAPED_THROUGHOUT, AnySchedule
from prunetui.plan.trainings import Trainings
from prunetui.plugins.method_catalogue import catalogue
from prunetui.steps import Prune
from prunetui.tree import Plan, Step


@dataclass
class TrialSteps:
    """Adds steps of one method and seed to a plan; ``trained`` are the states of the dense training by epoch."""

    plan: Plan
    study: Study
    method: MethodTable
    seed: int
    trained: dict[int, str]
    trainings: Trainings
    only: tuple[str, ...] = ()
    """The coupled layers that are pruned alone; the first names them."""

    @cached_property
    def dense(self) -> str:
        return self.trained[max(self.trained)]

    @cached_property
    def schedule(self) -> AnySchedule:
        return schedule_of(self.study, self.method)

    def _first_shaped(self, value: float) -> tuple[str, str]:
        """The network after the training that the method shapes before its edit, and the control after as much."""
        epochs = shaping_epochs(self.method)
        if not epochs:
            return self.dense, self.dense
        shaped = self._add(self.dense, self.trainings.plain(epochs, self._shaped(value)))
        return shaped, self._add(self.dense, self.trainings.plain(epochs))

    def _shaped(self, value: float) -> dict[str, Any] | None:
        """Who shapes a training; the value is told, and part of the step's key, only if it is asked for."""
        info = info_of(self.method)
        if not info.trains or not (self.schedule.name in SHAPED_THROUGHOUT or shaping_epochs(self.method)):
            return None
        told = {"target": self.target, "value": value} if info.trains == "by value" else {}
        about = {"method": info.name, "options": self.method.options, "digest": info.digest}
        return {**about, "rules": self._rules, **told}

    def _recover(
        self, start: str, epochs: int, carry: bool = False, first: int = 0, last: int | None = None,
        shaped: dict[str, Any] | None = None, rate: float = 1.0,
    ) -> str:  # fmt: skip
        teacher = self.dense if self.study.finetune.distill else None
        return self._add(start, self.trainings.recovery(epochs, carry, first, last, shaped, teacher, rate))

    def _calibrate(self, key: str) -> str:
        """The state with batch-norm statistics estimated anew, once."""
        calibration = self.trainings.calibration
        if not calibration.images or self.plan.nodes[key].step == calibration:
            return key
        return self._add(key, calibration)

    def _prune(self, key: str, level: float, progress: float) -> str:
        """The state after all of the method's edits to a level."""
        for part in self._applied:
            step = Prune(
                method=part.name,
                options=part.options,
                digest=catalogue().methods[part.name].digest,
                target=self.target,
                value=round(level * part.until, 10),
                progress=progress,
                images=self.study.measure.calibrate,
                rules=self._rules,
                only=self.only[0] if self.only else None,
            )
            key = self._add(key, step)
        return key

    @cached_property
    def _applied(self) -> tuple[Applied, ...]:
        return applied(self.method)

    @cached_property
    def _rules(self) -> dict[str, Any]:
        rules = self.study.layers
        return {**rules.model_dump(), "exclude": (*rules.exclude, *(self.method.exclude or ()))}

    @cached_property
    def target(self) -> str:
        """What the values are fractions of; of one group of channels, always its channels."""
        return "channels" if self.only and not is_masked(self.method) else target_of(self.study, self.method)

    def _add(self, key: str, step: Step) -> str:
        return self.plan.add(key, step, self.seed)
