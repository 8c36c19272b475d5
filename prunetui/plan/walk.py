"""The steps of one trial, by its schedule: from the dense network, or the fresh one, to the last recovery."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from prunetui.config.choices import is_masked, values_of
from prunetui.config.schedule import (
    AtInit,
    DenseSparseDense,
    DuringTraining,
    Dynamic,
    Gradual,
    Iterative,
    Leveled,
)
from prunetui.plan.reached import Reached, States
from prunetui.plan.schedules import Again, levels, prune_epochs, rewinding, rounds, shares_path
from prunetui.plan.trial_steps import TrialSteps
from prunetui.steps import Lift, Rewind


@dataclass
class Walk(TrialSteps):
    """Adds the steps of each value of one method and seed to a plan, by the method's schedule."""

    _trail: list[Reached] = field(default_factory=list)
    """Where the levels of a trajectory lead that all values share."""

    def to(self, value: float) -> States:
        """Keys of the trial's states: start, edited, before, after, control and control_before."""
        again = rewinding(self.schedule, self.study.train.epochs)
        if isinstance(self.schedule, AtInit | Dynamic):
            return self._from_init(value)
        if isinstance(self.schedule, DuringTraining):
            return self._during_training(value)
        if isinstance(self.schedule, Gradual):
            return self._gradual(value, self.schedule)
        if isinstance(self.schedule, DenseSparseDense):
            return self._dense_sparse_dense(value, self.schedule.rate)
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

    def _dense_sparse_dense(self, value: float, rate: float) -> States:
        """Prune, recover with the masks held, and again with all weights at ``rate`` of the rate; the end is dense."""
        after, control = self._first_shaped(value)
        edited = self._prune(after, value, 1.0)
        before, control_before = self._calibrate(edited), self._calibrate(control)
        epochs = self.study.finetune.epochs
        sparse, control = self._recover(before, epochs), self._recover(control_before, epochs)
        lifted = self._add(sparse, Lift(self.dense))
        after, control = (self._recover(key, epochs, rate=rate) for key in (lifted, control))
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
