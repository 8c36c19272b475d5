"""The steps of one trial, by its schedule: from the dense network, or the fresh one, to the last recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prunetui.config import Method, Recipe, Study
from prunetui.config.choices import (
    applied,
    info_of,
    is_masked,
    recovery_epochs,
    schedule_of,
    shaping_epochs,
    target_of,
    values_of,
)
from prunetui.config.schedule import AnySchedule, AtInit, Dynamic, Gradual, Iterative
from prunetui.plan.steps import Calibrate, Prune, Rewind, Train
from prunetui.plan.tree import Plan
from prunetui.plugins import catalogue
from prunetui.schedules import Again, levels, prune_epochs, rewinding, shares_path

States = dict[str, str]


@dataclass
class Walk:
    """Adds the steps of one method and seed to a plan; ``trained`` are the states of the dense training by epoch."""

    plan: Plan
    study: Study
    method: Method
    seed: int
    trained: dict[int, str]
    only: tuple[str, ...] = ()
    """The coupled layers that are pruned alone; the first names them."""

    @property
    def dense(self) -> str:
        return self.trained[max(self.trained)]

    @property
    def schedule(self) -> AnySchedule:
        return schedule_of(self.study, self.method)

    def to(self, value: float) -> States:
        """Keys of the trial's states: start, edited, before, after, control and control_before."""
        again = rewinding(self.schedule, self.study.train.epochs)
        if isinstance(self.schedule, AtInit | Dynamic):
            return self._from_init(value)
        if isinstance(self.schedule, Gradual):
            return self._gradual(value, self.schedule)
        return self._rewinding(value, again) if again else self._iterative(value)

    def _from_init(self, value: float) -> States:
        """Prune the fresh network and train it as the dense one was trained, which is its control."""
        shaped = self._shaped(value) if isinstance(self.schedule, Dynamic) else None
        edited = self._prune(self.trained[0], value, 1.0)
        after = self._add(edited, Train(self.study.train.model_dump(), shaped=shaped))
        states = {"start": self.trained[0], "edited": edited, "before": edited, "after": after}
        return {**states, "control": self.dense, "control_before": self.dense}

    def _iterative(self, value: float) -> States:
        """Prune level by level with recovery after each; the control does all but prune."""
        between = self.schedule.epochs if isinstance(self.schedule, Iterative) else None
        steps, length = self._levels(value)
        after, control = self._first_shaped(value)
        trained = after != self.dense
        edited = before = after
        control_before = control
        for i, level in enumerate(steps):
            last = i == len(steps) - 1
            edited = self._prune(after, level, (i + 1) / length)
            before = after = self._calibrate(edited)
            control_before = control = self._calibrate(control)
            recipe = self._recovery(None if last else between)
            if recipe.epochs:
                after = self._recover(after, recipe, trained, shaped=None if last else self._shaped(value))
                control = self._recover(control, recipe, trained)
                trained = True
        states = {"start": self.dense, "edited": edited, "before": before, "after": after}
        return {**states, "control": control, "control_before": control_before}

    def _gradual(self, value: float, schedule: Gradual) -> States:
        """Prune at the starts of epochs within one recovery; the control is recovered without a break."""
        steps, _ = self._levels(value)
        recipe = self._recovery()
        starts = prune_epochs(schedule, recipe.epochs)
        after, control = self._first_shaped(value)
        edited = before = after
        for i, (level, first) in enumerate(zip(steps, starts, strict=True)):
            end = starts[i + 1] if i + 1 < len(starts) else None
            edited = self._prune(after, level, (i + 1) / len(steps))
            before = self._calibrate(edited)
            shaped = self._shaped(value) if end is not None else None
            after = self._recover(before, recipe, carry=first > 0, first=first, last=end, shaped=shaped)
        control_before = self._calibrate(control)
        control = self._recover(control_before, recipe)
        states = {"start": self.dense, "edited": edited, "before": before, "after": after}
        return {**states, "control": control, "control_before": control_before}

    def _rewinding(self, value: float, again: Again) -> States:
        """Prune level by level and repeat the end of [train]; with weights rewound the dense net is the control."""
        steps, length = self._levels(value)
        after, control = self._first_shaped(value)
        edited = before = after
        control_before = control
        recipe = self.study.train.model_dump()
        for i, level in enumerate(steps):
            edited = self._prune(after, level, (i + 1) / length)
            before = self._calibrate(edited)
            shaped = self._shaped(value) if i < len(steps) - 1 else None
            train = Train(recipe, first=again.epoch, shaped=shaped)
            if again.weights:
                after = self._add(self._add(edited, Rewind(self.trained[again.epoch], again.epoch)), train)
            else:
                after = self._add(before, train)
                control_before = self._calibrate(control)
                control = self._add(control_before, Train(recipe, first=again.epoch))
        if again.weights:
            control = control_before = self.dense
        states = {"start": self.dense, "edited": edited, "before": before, "after": after}
        return {**states, "control": control, "control_before": control_before}

    def _levels(self, value: float) -> tuple[tuple[float, ...], int]:
        """The levels of a trial, and how many its trajectory has.

        A trajectory that all values share is as long as its longest trial: else progress would tell them apart.
        """
        values = values_of(self.study, self.method)
        steps = levels(self.schedule, value, values, recovery_epochs(self.study, self.schedule))
        longest = levels(self.schedule, max(values), values) if shares_path(self.schedule) else steps
        return steps, len(longest)

    def _first_shaped(self, value: float) -> tuple[str, str]:
        """The network after the training that the method shapes before its edit, and the control after as much."""
        epochs = shaping_epochs(self.method)
        if not epochs:
            return self.dense, self.dense
        recipe = self._recovery(epochs).model_dump() | {"distill": 0.0}
        shaped = self._add(self.dense, Train(recipe, shaped=self._shaped(value)))
        return shaped, self._add(self.dense, Train(recipe))

    def _shaped(self, value: float) -> dict[str, Any] | None:
        """Who shapes a training; the value is told, and part of the step's key, only if it is asked for."""
        info = info_of(self.method)
        if not info.trains or not (isinstance(self.schedule, Dynamic) or shaping_epochs(self.method)):
            return None
        told = {"target": self.target, "value": value} if info.trains == "by value" else {}
        rules = self.study.layers.model_dump()
        return {"method": info.name, "options": self.method.options, "digest": info.digest, "rules": rules, **told}

    def _recovery(self, epochs: int | None = None) -> Recipe:
        """The recovery recipe, with another number of epochs if given."""
        recipe = self.study.finetune
        return recipe if epochs is None else recipe.model_copy(update={"epochs": epochs})

    def _recover(
        self,
        start: str,
        recipe: Recipe,
        carry: bool = False,
        first: int = 0,
        last: int | None = None,
        shaped: dict[str, Any] | None = None,
    ) -> str:
        teacher = self.dense if self.study.finetune.distill else None
        return self._add(start, Train(recipe.model_dump(), carry, first, last, shaped, teacher))

    def _calibrate(self, key: str) -> str:
        """The state with batch-norm statistics estimated anew, once."""
        images = self.study.measure.recalibrate
        if not images or isinstance(self.plan.nodes[key].step, Calibrate):
            return key
        return self._add(key, Calibrate(images))

    def _prune(self, key: str, level: float, progress: float) -> str:
        """The state after all of the method's edits to a level."""
        for part in applied(self.method):
            step = Prune(
                method=part.name,
                options=part.options,
                digest=catalogue().methods[part.name].digest,
                target=self.target,
                value=round(level * part.until, 10),
                progress=progress,
                images=self.study.measure.calibrate,
                rules=self.study.layers.model_dump(),
                only=self.only[0] if self.only else None,
            )
            key = self._add(key, step)
        return key

    @property
    def target(self) -> str:
        """What the values are fractions of; of one group of channels, always its channels."""
        return "channels" if self.only and not is_masked(self.method) else target_of(self.study, self.method)

    def _add(self, key: str, step: Train | Prune | Rewind | Calibrate) -> str:
        return self.plan.add(key, step, self.seed)
