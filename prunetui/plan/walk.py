"""The steps of one trial, by its schedule: from the dense network, or the fresh one, to the last recovery."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from prunetui.config import MethodTable, Study
from prunetui.config.choices import (
    Applied,
    applied,
    info_of,
    is_masked,
    schedule_of,
    shaping_epochs,
    target_of,
    values_of,
)
from prunetui.config.schedule import (
    SHAPED_THROUGHOUT,
    AnySchedule,
    AtInit,
    DuringTraining,
    Dynamic,
    Gradual,
    Iterative,
    Leveled,
)
from prunetui.plan.reached import Reached, States
from prunetui.plan.schedules import Again, levels, prune_epochs, rewinding, rounds, shares_path
from prunetui.plan.trainings import Trainings
from prunetui.plugins.method_catalogue import catalogue
from prunetui.steps import Prune, Rewind
from prunetui.tree import Plan, Step


@dataclass
class Walk:
    """Adds the steps of one method and seed to a plan; ``trained`` are the states of the dense training by epoch."""

    plan: Plan
    study: Study
    method: MethodTable
    seed: int
    trained: dict[int, str]
    trainings: Trainings
    only: tuple[str, ...] = ()
    """The coupled layers that are pruned alone; the first names them."""
    _trail: list[Reached] = field(default_factory=list)
    """Where the levels of a trajectory lead that all values share."""

    @cached_property
    def dense(self) -> str:
        return self.trained[max(self.trained)]

    @cached_property
    def schedule(self) -> AnySchedule:
        return schedule_of(self.study, self.method)

    def to(self, value: float) -> States:
        """Keys of the trial's states: start, edited, before, after, control and control_before."""
        again = rewinding(self.schedule, self.study.train.epochs)
        if isinstance(self.schedule, AtInit | Dynamic):
            return self._from_init(value)
        if isinstance(self.schedule, DuringTraining):
            return self._during_training(value)
        if isinstance(self.schedule, Gradual):
            return self._gradual(value, self.schedule)
        return self._rewinding(value, again) if again else self._iterative(value)

    def _from_init(self, value: float) -> States:
        """Prune the fresh network and train it as the dense one was trained, which is its control."""
        shaped = self._shaped(value) if isinstance(self.schedule, Dynamic) else None
        edited = self._prune(self.trained[0], value, 1.0)
        after = self._add(edited, self.trainings.dense(shaped=shaped))
        states = {"start": self.trained[0], "edited": edited, "before": edited, "after": after}
        return {**states, "control": self.dense, "control_before": self.dense}

    def _during_training(self, value: float) -> States:
        """Train the fresh network as the dense one was trained, shaped by the method, which prunes it at the end."""
        trained = self._add(self.trained[0], self.trainings.dense(shaped=self._shaped(value)))
        edited = self._prune(trained, value, 1.0)
        after, control = self._calibrate(edited), self._calibrate(self.dense)
        states = {"start": self.trained[0], "edited": edited, "before": after, "after": after}
        return {**states, "control": control, "control_before": control}

    def _iterative(self, value: float) -> States:
        """Prune level by level with recovery after each; the control does all but prune."""
        between = self.schedule.epochs if isinstance(self.schedule, Iterative) else None

        def next_level(at: Reached, level: float, progress: float, is_last: bool) -> Reached:
            edited = self._prune(at.after, level, progress)
            before = after = self._calibrate(edited)
            control_before = control = self._calibrate(at.control)
            epochs = self.study.finetune.epochs if is_last or between is None else between
            if epochs:
                after = self._recover(after, epochs, at.trained, shaped=None if is_last else self._shaped(value))
                control = self._recover(control, epochs, at.trained)
            return Reached(edited, before, after, control_before, control, at.trained or epochs > 0)

        return self._along(value, next_level)

    def _gradual(self, value: float, schedule: Gradual) -> States:
        """Prune at the starts of epochs within one recovery; the control is recovered without a break."""
        epochs = self.study.finetune.epochs
        steps = levels(schedule, value, self._values, epochs)
        starts = prune_epochs(schedule, epochs)
        after, control = self._first_shaped(value)
        edited = before = after
        for i, (level, first) in enumerate(zip(steps, starts, strict=True)):
            end = starts[i + 1] if i + 1 < len(starts) else None
            edited = self._prune(after, level, (i + 1) / len(steps))
            before = self._calibrate(edited)
            shaped = self._shaped(value) if end is not None else None
            after = self._recover(before, epochs, carry=first > 0, first=first, last=end, shaped=shaped)
        control_before = self._calibrate(control)
        control = self._recover(control_before, epochs)
        states = {"start": self.dense, "edited": edited, "before": before, "after": after}
        return {**states, "control": control, "control_before": control_before}

    def _rewinding(self, value: float, again: Again) -> States:
        """Prune level by level and repeat the end of [train]; with weights rewound the dense net is the control."""

        def next_level(at: Reached, level: float, progress: float, is_last: bool) -> Reached:
            edited = self._prune(at.after, level, progress)
            before = self._calibrate(edited)
            train = self.trainings.dense(first=again.epoch, shaped=None if is_last else self._shaped(value))
            if again.weights:
                after = self._add(self._add(edited, Rewind(self.trained[again.epoch], again.epoch)), train)
                return Reached(edited, before, after, self.dense, self.dense)
            after = self._add(before, train)
            control_before = self._calibrate(at.control)
            control = self._add(control_before, self.trainings.dense(first=again.epoch))
            return Reached(edited, before, after, control_before, control)

        return self._along(value, next_level)

    def _along(self, value: float, next_level: Callable[[Reached, float, float, bool], Reached]) -> States:
        """The states at the end of a trial's levels; what all values pass through is walked once.

        Where nothing but the last level is a trial's own, thousands of values are as many steps, not their square.
        """
        if self._shared_levels is None or "value" in (self._shaped(value) or {}):
            steps = levels(self.schedule, value, self._values)
            at = self._beginning(value)
            for i, level in enumerate(steps, 1):
                at = next_level(at, level, i / (self._longest or len(steps)), i == len(steps))
            return at.states(self.dense)
        trail, below = self._trail, bisect_left(self._shared_levels, value)
        if not trail:
            trail.append(self._beginning(value))
        while len(trail) <= below:
            level = round(self._shared_levels[len(trail) - 1], 10)
            trail.append(next_level(trail[-1], level, len(trail) / self._longest, False))
        return next_level(trail[below], value, (below + 1) / self._longest, True).states(self.dense)

    def _beginning(self, value: float) -> Reached:
        after, control = self._first_shaped(value)
        return Reached(after, after, after, control, control, trained=after != self.dense)

    @cached_property
    def _values(self) -> tuple[float, ...]:
        """What a schedule of levels passes through when it says nothing more."""
        values = values_of(self.study, self.method)
        by_weights = self.target == "sparsity" and is_masked(self.method)
        return rounds(self.schedule, values) if by_weights else values

    @cached_property
    def _shared_levels(self) -> list[float] | None:
        """The levels that every value passes through as far as they are below it; None where each has its own."""
        if not isinstance(self.schedule, Leveled) or not shares_path(self.schedule):
            return None
        return sorted(self.schedule.levels or self._values)

    @cached_property
    def _longest(self) -> int:
        """The levels of the longest trial of a shared trajectory: else progress would tell its trials apart."""
        return bisect_left(self._shared_levels, max(self._values)) + 1 if self._shared_levels is not None else 0

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
        shaped: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        teacher = self.dense if self.study.finetune.distill else None
        return self._add(start, self.trainings.recovery(epochs, carry, first, last, shaped, teacher))

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
