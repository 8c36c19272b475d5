"""Study -> plan: every trial's path through the tree, controls included."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from prunetui.config import AtInit, Iterative, Method, OneShot, Study
from prunetui.config.checks import target_of, values_of
from prunetui.config.schema import Recipe
from prunetui.plan.labels import labels_of
from prunetui.plan.steps import Calibrate, Latency, Load, Measure, Prune, Step, Train
from prunetui.plan.tree import Plan, Trial, digest
from prunetui.plugins import catalogue
from prunetui.schedules import levels, schedule_name

# Raise it when the engine computes something differently: older cached states are then not found.
ENGINE_VERSION = 5
MOST_LABEL = 60
"""Characters of a label in a trial's id, which is a file name."""


def build_plan(study: Study, context: Mapping[str, Any] | None = None) -> Plan:
    """Unroll a study.

    ``context`` is what else decides the numbers and only the machine knows (device, arithmetic, the
    fingerprints of data and checkpoint); without it the tree has the same shape but other keys.
    """
    plan = Plan()
    labels = labels_of(study)
    for seed in study.seeds:
        root = digest(
            {
                "engine": ENGINE_VERSION,
                "data": study.data.model_dump(exclude={"root", "corrupt"}),
                "model": study.model.model_dump(exclude={"checkpoint"}),
                "seed": seed,
                **(context or {}),
            }
        )
        fresh = dense = plan.add(root, Load(), seed)
        if study.train.epochs:
            dense = plan.add(fresh, Train(study.train.model_dump()), seed)
        for method, label in zip(study.methods, labels, strict=True):
            for value in values_of(study, method):
                _add_trial(plan, study, method, label, value, seed, fresh, dense)
    plan.trials = _controls_first(plan.trials)
    for trial in plan.trials:
        for key, step in measurements(study, trial).values():
            plan.add(key, step, trial.seed)
    return plan


def measurements(study: Study, trial: Trial) -> dict[str, tuple[str, Step]]:
    """What is measured for a trial: name -> (key of the state, step)."""
    test, validation = (Measure(split, study.measure.batch_size) for split in ("test", "validation"))
    wanted: dict[str, tuple[str, Step]] = {
        "dense": (trial.dense, test),
        "control": (trial.control, test),
        "edited": (trial.edited, test),
        "before": (trial.before, test),
        "after": (trial.after, test),
    }
    if study.data.validation:
        wanted["validation"] = (trial.after, validation)
    masked = trial.method != "dense" and catalogue().methods[trial.method].edit == "masks"
    if study.measure.latency_batch and not masked:
        wanted["latency"] = (trial.after, Latency(study.measure.latency_batch))
    return wanted


def _recovery(study: Study, epochs: int | None = None) -> Recipe:
    """The recovery recipe, with another number of epochs if given."""
    return study.finetune if epochs is None else study.finetune.model_copy(update={"epochs": epochs})


def _add_trial(
    plan: Plan, study: Study, method: Method, label: str, value: float, seed: int, fresh: str, dense: str
) -> None:
    schedule = method.schedule or study.schedule
    walk = _at_init if isinstance(schedule, AtInit) else _after_training
    states = {"control": dense, **walk(plan, study, method, value, seed, fresh if walk is _at_init else dense)}
    control_before = states.pop("control_before", dense)
    name = schedule_name(schedule)
    extra = "" if isinstance(schedule, OneShot) or name in label else f"-{name}"
    trial = Trial(
        id=f"{_slug(label)}{extra}-{value:.10g}-s{seed}",
        method=method.name,
        label=label,
        schedule=name,
        seed=seed,
        target=target_of(study, method),
        value=value,
        dense=dense,
        **states,
    )
    _add_control(plan, trial, control_before)
    plan.trials.append(trial)


def _at_init(plan: Plan, study: Study, method: Method, value: float, seed: int, start: str) -> dict[str, str]:
    """Prune the fresh network and train it as the dense one was trained, which is its control."""
    edited = plan.add(start, _prune(study, method, value, 1.0), seed)
    after = plan.add(edited, Train(study.train.model_dump()), seed)
    return {"start": start, "edited": edited, "before": edited, "after": after}


def _after_training(plan: Plan, study: Study, method: Method, value: float, seed: int, start: str) -> dict[str, str]:
    """Prune the trained network level by level, with recovery after each; the control does all but prune."""
    schedule = method.schedule or study.schedule
    between = schedule.epochs if isinstance(schedule, Iterative) else None
    values = values_of(study, method)
    steps = levels(schedule, value, values)
    after = control = edited = before = control_before = start
    # A trajectory that all values share is as long as its longest trial: else progress would tell them apart.
    length = len(values) if isinstance(schedule, Iterative) and schedule.steps is None else len(steps)
    trained = False
    for i, level in enumerate(steps):
        edited = plan.add(after, _prune(study, method, level, (i + 1) / length), seed)
        calibrate = study.measure.recalibrate
        before = after = plan.add(edited, Calibrate(calibrate), seed) if calibrate else edited
        if calibrate and not isinstance(plan.nodes[control].step, Calibrate):
            control = plan.add(control, Calibrate(calibrate), seed)
        control_before = control
        recipe = _recovery(study) if i == len(steps) - 1 else _recovery(study, between)
        if recipe.epochs:
            train = Train(recipe.model_dump(), carry=trained)
            trained = True
            after, control = plan.add(after, train, seed), plan.add(control, train, seed)
    return {
        "start": start,
        "edited": edited,
        "before": before,
        "after": after,
        "control": control,
        "control_before": control_before,
    }


def _prune(study: Study, method: Method, level: float, progress: float) -> Prune:
    return Prune(
        method=method.name,
        options=method.options,
        digest=catalogue().methods[method.name].digest,
        target=target_of(study, method),
        value=level,
        progress=progress,
        images=study.measure.calibrate,
        rules=study.layers.model_dump(),
    )


def _add_control(plan: Plan, trial: Trial, before: str) -> None:
    """The dense network trained for the same extra epochs is a trial of its own, once for all who share it."""
    if any(t.after == trial.control and t.method == "dense" for t in plan.trials):
        return
    extra = sum(
        node.step.recipe["epochs"]
        for node in plan.path(trial.control)[len(plan.path(trial.dense)) :]
        if isinstance(node.step, Train)
    )
    plan.trials.append(
        Trial(
            id=f"dense-{extra}ep-s{trial.seed}",
            method="dense",
            label="dense",
            schedule=trial.schedule,
            seed=trial.seed,
            target="sparsity",
            value=0.0,
            dense=trial.dense,
            start=trial.dense,
            edited=trial.dense,
            before=before,
            after=trial.control,
            control=trial.control,
        )
    )


def _controls_first(trials: list[Trial]) -> list[Trial]:
    """By seed, controls before what is compared with them; ids made unique where settings collide."""
    seeds = list(dict.fromkeys(trial.seed for trial in trials))
    ordered = sorted(trials, key=lambda t: (seeds.index(t.seed), t.method != "dense"))
    seen: dict[str, int] = {}
    unique = []
    for trial in ordered:
        seen[trial.id] = seen.get(trial.id, 0) + 1
        again = seen[trial.id]
        unique.append(trial if again == 1 else dataclasses.replace(trial, id=f"{trial.id}-{again}"))
    return unique


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in label)[:MOST_LABEL]
