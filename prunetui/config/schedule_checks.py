"""Which schedules make sense for which method and study, and why the others do not."""

from __future__ import annotations

from prunetui.config.choices import allows, info_of, is_masked, schedule_of, shaping_epochs, target_of
from prunetui.config.schedule import (
    SCHEDULES,
    AnySchedule,
    AtInit,
    DenseSparseDense,
    DuringTraining,
    Dynamic,
    Gradual,
    Leveled,
    LotteryTicket,
    LrRewinding,
    OneShot,
)
from prunetui.config.schema import MethodTable, Study
from prunetui.plugins.method_catalogue import MethodInfo

EPOCHS = "epochs"
"""The option of how long a training is shaped before a method's first edit."""
LEAST_GRADUAL = 3
"""Prune steps of `gradual` where a study does not say how many: two would take 87.5 % of all at once."""
UNTRAINED = "(with a checkpoint they are 0 by default)"


def schedule_mistake(study: Study, method: MethodTable) -> str:
    """Why a method cannot run with its schedule in this study; empty if it can."""
    schedule = schedule_of(study, method)
    return (
        _of_method(method, schedule)
        or _of_target(target_of(study, method), schedule)
        or _of_training(study, schedule)
        or _of_study(study, schedule)
    )


def _of_method(method: MethodTable, schedule: AnySchedule) -> str:
    info = info_of(method)
    if not allows(info, schedule):
        known = info.schedules or [name for name, kind in SCHEDULES.items() if allows(info, kind())]
        return f"{method.name} {_why_not(info, schedule)}; it can be {', '.join(known)}"
    if isinstance(schedule, AtInit) and info.trains and shaping_epochs(method):
        return f"{method.name} learns from a training before its edit; at-init has none"
    usual = {option.name: option.default for option in info.options}
    if isinstance(schedule, DuringTraining) and method.options.get(EPOCHS, usual.get(EPOCHS)) != usual.get(EPOCHS):
        return f"{schedule.name} shapes all of [train]: {EPOCHS} of {method.name} would do nothing; leave it out"
    if isinstance(schedule, DenseSparseDense) and not is_masked(method):
        return f"{schedule.name} lets zeroed weights train again; {method.name} does not only zero weights"
    once = info.schedules and "iterative" not in info.schedules
    if once and isinstance(schedule, LrRewinding) and schedule.steps != 1:
        return f"{method.name} edits a net once: lr-rewinding needs steps = 1 with it"
    return ""


def _why_not(info: MethodInfo, schedule: AnySchedule) -> str:
    if isinstance(schedule, Dynamic):
        return "moves no mask while it trains"
    if isinstance(schedule, DuringTraining) and not info.trains:
        return "shapes no training"
    return f"does not work with the schedule {schedule.name}"


def _of_training(study: Study, schedule: AnySchedule) -> str:
    epochs = study.train.epochs
    if isinstance(schedule, DuringTraining) and not epochs:
        return f"{schedule.name} prunes by what [train] does, so [train] needs epochs {UNTRAINED}"
    if isinstance(schedule, AtInit | Dynamic) and not epochs:
        other = "" if isinstance(schedule, Dynamic) else '; a trained net is pruned with schedule = "one-shot"'
        return f"{schedule.name} prunes before training, so [train] needs epochs {UNTRAINED}{other}"
    if isinstance(schedule, LotteryTicket | LrRewinding):
        if not epochs:
            return f"{schedule.name} repeats [train], so it needs epochs {UNTRAINED}"
        if schedule.epoch is not None and schedule.epoch >= epochs:
            return f"there is no epoch {schedule.epoch} to go back to: [train] has {epochs} epochs, counted from 0"
    if isinstance(schedule, DenseSparseDense) and not study.finetune.epochs:
        return f"{schedule.name} trains twice by [finetune], which needs epochs"
    if isinstance(schedule, Gradual):
        most = study.finetune.epochs
        if most < 2:
            return f"gradual prunes within [finetune], which needs at least 2 epochs; it has {most}"
        steps = max(1, round(schedule.until * most))
        if not schedule.steps and steps < LEAST_GRADUAL:
            share = 1 - (1 - 1 / steps) ** 3
            return (
                f"gradual would prune {steps} time{'s' if steps > 1 else ''} in the {most} epochs of [finetune], "
                f"{share:.1%} of it at once; give [finetune] more epochs, or say that you want so few: steps = 2"
            )
        if schedule.steps and schedule.steps > most:
            return f"gradual prunes once an epoch at most: {schedule.steps} steps do not fit {most} epochs"
    return ""


def _of_target(target: str, schedule: AnySchedule) -> str:
    if target == "pattern" and isinstance(schedule, Gradual):
        return "a pattern is reached in one step, and gradual has several"
    if not isinstance(schedule, Leveled):
        return ""
    if target == "pattern" and (schedule.levels or (schedule.steps or 1) > 1):
        return "a pattern is reached in one step: it has no levels"
    if target == "threshold" and schedule.spacing == "geometric":
        return "geometric spacing is of fractions; thresholds can only be spaced linearly"
    if target != "threshold" and any(level >= 1 for level in schedule.levels or ()):
        return "a level is the fraction removed, in [0, 1)"
    return ""


def _of_study(study: Study, schedule: AnySchedule) -> str:
    if study.kind != "sensitivity" or isinstance(schedule, OneShot):
        return ""
    return "a sensitivity study prunes one layer once: its schedule is one-shot"
