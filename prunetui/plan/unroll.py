"""Study -> plan: every trial's path through the tree, controls included."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from prunetui.config import DataTable, MethodTable, ModelTable, OneShot, Study
from prunetui.config.choices import is_masked, schedule_of, values_of
from prunetui.config.schema import TaskTable
from prunetui.config.size import too_large
from prunetui.errors import UsageError
from prunetui.plan.labels import labels_of
from prunetui.plan.measurements import Measurements
from prunetui.plan.schedules import rewinding, schedule_name
from prunetui.plan.trainings import Trainings
from prunetui.plan.walk import Walk
from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.own_files import short
from prunetui.steps import Checkpoint, Load
from prunetui.tree import Plan, Trial, Units, digest
from prunetui.tree.step_code import file_digest

MOST_LABEL = 80
"""Characters of a label in a trial's id, which is a file name."""


def build_plan(study: Study, context: Mapping[str, Any] | None = None, units: Units | None = None) -> Plan:
    """Unroll a study.

    ``context`` is what else decides the numbers and only the machine knows (device, arithmetic, the
    fingerprints of data and checkpoint); without it the tree has the same shape but other keys. ``units`` are what
    a sensitivity study prunes one at a time: only the network can name them.

    Raises:
        UsageError: there would be too many trials.
    """
    _refuse_too_large(study, units)
    plan = Plan()
    labels = labels_of(study)
    trainings = Trainings(study)
    controls: set[str] = set()
    for seed in study.seeds:
        fresh = plan.add(_root(study, seed, context), Checkpoint() if study.model.checkpoint else Load(), seed)
        trained = _dense(plan, study, trainings, fresh, seed)
        for method, label in zip(study.methods, labels, strict=True):
            for only in _only(study, method, units):
                walk = Walk(plan, study, method, seed, trained, trainings, only)
                for value in values_of(study, method):
                    _add_trial(plan, walk, label, value, controls)
            plan.skipped += _skipped(study, method, label, seed, units)
    plan.trials = _controls_first(plan.trials)
    wanted = Measurements(study)
    for trial in plan.trials:
        plan.measurements[trial.id] = wanted.of(trial)
        for key, step in plan.measurements[trial.id].values():
            plan.add(key, step, trial.seed)
    return plan


def _identity(kind: str, table: DataTable | ModelTable | TaskTable, apart: set[str]) -> dict[str, Any]:
    """What of a table decides the numbers, with the code of what it names, wherever its file lies."""
    unsaid = {key for key in ("options", "config") if not getattr(table, key, None)}
    plain = table.model_dump(exclude=apart | unsaid)
    found = catalogue(kind).found.get(table.name)
    if found is None:  # told as a mistake where it is looked for
        return plain
    code = file_digest(found.file) if found.origin == "built-in" else found.digest
    return {**plain, "name": table.name.rpartition(":")[2], "code": code}


def _root(study: Study, seed: int, context: Mapping[str, Any] | None) -> str:
    """What stands before the first step: all that decides its figures and is no step."""
    data = _identity("data", study.data, {"root", "corrupt", "memory", "workers"})  # which change no figure
    model = _identity("model", study.model, {"checkpoint"})
    task = _identity("task", study.task, set())
    return digest({"data": data, "model": model, "task": task, "seed": seed, **(context or {})})


def _refuse_too_large(study: Study, units: Units | None) -> None:
    """A study made in Python was not read by anybody, and only the network tells how many layers there are."""
    layers = max(len(units.layers), len(units.groups)) if units and study.kind == "sensitivity" else 1
    reason = too_large(study, max(1, layers))
    if reason:
        raise UsageError(reason)


def _only(study: Study, method: MethodTable, units: Units | None) -> Sequence[tuple[str, ...]]:
    """What each trial of a method prunes: everything (an empty tuple), or one unit after the other."""
    if study.kind == "compare":
        return [()]
    if units is None:
        return []
    every = [(layer,) for layer in units.layers] if is_masked(method) else units.groups
    return [unit for unit in every if not any(fnmatchcase(name, p) for name in unit for p in method.exclude or ())]


def _skipped(study: Study, method: MethodTable, label: str, seed: int, units: Units | None) -> list[dict[str, Any]]:
    """Rows for layers that a sensitivity study cannot prune: they are not robust, nothing was pruned."""
    if study.kind == "compare" or units is None or is_masked(method):
        return []
    reason = "its channels must stay: a shortcut that pads with zeros, or a rule of the study, holds them"
    common = {"method": method.name, "schedule": "one-shot", "seed": seed, "target": "channels:0"}
    return [
        {
            "trial": f"{_slug(f'{label} {layer}')}-skipped-s{seed}",
            "label": f"{label} {layer}",
            "layer": layer,
            **common,
            "status": "skipped",
            "error": reason,
        }
        for layer in units.refused
    ]


def _dense(plan: Plan, study: Study, trainings: Trainings, fresh: str, seed: int) -> dict[int, str]:
    """The dense training: finished epochs -> state, for the epochs that are rewound to and the last."""
    epochs = study.train.epochs
    again = [rewinding(schedule_of(study, method), epochs) for method in study.methods]
    stops = sorted({a.epoch for a in again if a and a.weights and a.epoch} | ({epochs} if epochs else set()))
    states, done = {0: fresh}, 0
    for stop in stops:
        last = None if stop == epochs else stop
        states[stop] = plan.add(states[done], trainings.dense(carry=done > 0, first=done, last=last), seed)
        done = stop
    return states


def _add_trial(plan: Plan, walk: Walk, label: str, value: float, controls: set[str]) -> None:
    method = walk.method
    states = walk.to(value)
    control_before = states.pop("control_before")
    name = schedule_name(walk.schedule)
    unit = walk.only[0] if walk.only else ""
    label = f"{label} {unit}" if unit else label
    extra = "" if isinstance(walk.schedule, OneShot) or name in label else f"-{name}"
    trial = Trial(
        id=f"{_slug(label)}{extra}-{value:.10g}-s{walk.seed}",
        method=short(method.name),
        label=label,
        schedule=name,
        seed=walk.seed,
        target=walk.target,
        value=value,
        layer="+".join(walk.only),
        masked=is_masked(method),
        dense=walk.dense,
        **states,
    )
    if walk.study.measure.control and trial.control not in controls:
        controls.add(trial.control)
        _add_control(plan, trial, control_before)
    plan.trials.append(trial)


def _add_control(plan: Plan, trial: Trial, before: str) -> None:
    """The dense network trained for the same extra epochs is a trial of its own."""
    extra = plan.epochs(trial.control) - plan.epochs(trial.dense)
    plan.trials.append(
        Trial(
            id=f"dense-{extra}ep-s{trial.seed}",
            method="dense",
            label="dense",
            schedule=trial.schedule,
            seed=trial.seed,
            target="sparsity",
            value=0.0,
            layer="",
            masked=False,
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
    seeds = {seed: i for i, seed in enumerate(dict.fromkeys(trial.seed for trial in trials))}
    ordered = sorted(trials, key=lambda t: (seeds[t.seed], t.method != "dense"))
    seen: dict[str, int] = {}
    unique = []
    for trial in ordered:
        seen[trial.id] = seen.get(trial.id, 0) + 1
        again = seen[trial.id]
        unique.append(trial if again == 1 else dataclasses.replace(trial, id=f"{trial.id}-{again}"))
    return unique


def _slug(label: str) -> str:
    return re.sub(r"[^\w.-]", "-", label)[:MOST_LABEL]
