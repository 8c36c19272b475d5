"""What a method of a study runs with: its own target, values, schedule and parts, or what the study offers it."""

from __future__ import annotations

from dataclasses import dataclass

from prunetui.config.schedule import SCHEDULES, AnySchedule, DuringTraining, Dynamic, Gradual
from prunetui.config.schema import MethodTable, Options, Study
from prunetui.plugins.method_catalogue import MethodInfo, catalogue

DEFAULT_THRESHOLDS = (0.01, 0.03, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Applied:
    """A method that is applied, up to this fraction of what the whole trial removes."""

    name: str
    options: Options
    until: float


def info_of(method: MethodTable) -> MethodInfo:
    """What is known of a method; its name is known to exist."""
    return catalogue().methods[method.name]


def target_of(study: Study, method: MethodTable) -> str:
    """The target of a method: its own, else the study's; a method that knows no sparsity has its own kind."""
    known = info_of(method).targets
    if method.target:
        return method.target
    return study.target if study.target in known or "sparsity" in known else known[0]


def values_of(study: Study, method: MethodTable) -> tuple[float, ...]:
    """The sparsities (or thresholds) that a method runs at, ascending."""
    target = target_of(study, method)
    if target == "pattern":
        return method.sparsities or (pattern_of(method),)
    if method.sparsities is None and target == "threshold":
        return DEFAULT_THRESHOLDS
    return method.sparsities or study.sparsities


def option_of(method: MethodTable, name: str) -> object:
    """The value of a method's option, given or by default; None if it has none of this name."""
    defaults = {option.name: option.default for option in info_of(method).options}
    return method.options.get(name, defaults.get(name))


def pattern_of(method: MethodTable) -> float:
    """The fraction that a pattern of n kept in m removes."""
    kept, of = option_of(method, "n"), option_of(method, "m")
    assert isinstance(kept, int)
    assert isinstance(of, int)
    return 1 - kept / of if of else 0.0


def shaping_epochs(method: MethodTable) -> int:
    """Epochs of training that a method shapes before its first edit."""
    epochs = option_of(method, "epochs") if info_of(method).trains else 0
    return epochs if isinstance(epochs, int) else 0


def allows(info: MethodInfo, schedule: AnySchedule) -> bool:
    """Whether a method makes sense with a schedule: with those it names, else with all but ``dynamic``.

    ``during-training`` is for methods that shape a training.
    """
    if info.schedules:
        return schedule.name in info.schedules
    return not isinstance(schedule, Dynamic) and (bool(info.trains) or not isinstance(schedule, DuringTraining))


def schedule_of(study: Study, method: MethodTable) -> AnySchedule:
    """The schedule of a method: its own, else the study's.

    Where the study names none either, that of the method's source, else the first it knows. A sensitivity study prunes
    a trained net once.
    """
    if method.schedule or "schedule" in study.model_fields_set:
        return method.schedule or study.schedule
    info = info_of(method)
    if info.schedule and study.kind != "sensitivity":
        return SCHEDULES[info.schedule]()
    return study.schedule if allows(info, study.schedule) else SCHEDULES[info.schedules[0]]()


def applied(method: MethodTable) -> tuple[Applied, ...]:
    """The methods that a trial applies one after the other: its parts, or itself."""
    if not method.parts:
        return (Applied(method.name, method.options, 1.0),)
    given = sum(part.share or 0.0 for part in method.parts)
    silent = sum(part.share is None for part in method.parts)
    found, until = [], 0.0
    for part in method.parts:
        until += part.share if part.share is not None else (1 - given) / silent
        found.append(Applied(part.name, part.options, min(1.0, round(until, 12))))
    return tuple(found)


def is_masked(method: MethodTable) -> bool:
    """Whether a method only masks weights: the net keeps its shape."""
    return all(catalogue().methods[part.name].edit == "masks" for part in applied(method))


def recovery_epochs(study: Study, schedule: AnySchedule) -> int:
    """The epochs in which ``gradual`` places its prune steps."""
    return study.finetune.epochs if isinstance(schedule, Gradual) else 0


def contributions_of(study: Study) -> list[tuple[str, str]]:
    """Kind and name of everything that a study names: its model, data and task, and its methods with their parts."""
    methods = [name for method in study.methods for name in (method.name, *(part.name for part in method.parts))]
    own = [("model", study.model.name), ("data", study.data.name), ("task", study.task.name)]
    return own + [("method", name) for name in methods]
