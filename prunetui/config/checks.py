"""What makes a well-formed study impossible: rules that span several keys, refused with their reason."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.config.schema import AtInit, Iterative, Method, Study
from prunetui.errors import Mistake
from prunetui.paths import is_dir, is_file, user_path
from prunetui.plugins import MethodInfo, catalogue

Located = tuple[tuple[str | int, ...], Mistake]

CONTROL = "dense"
DEFAULT_THRESHOLDS = (0.01, 0.03, 0.05, 0.1, 0.2)


def semantic_mistakes(study: Study, index: Sequence[int]) -> list[Located]:
    """Everything wrong with a study whose keys and types are right; ``index`` is each method's place in the file."""
    found: list[Located] = []
    known = catalogue().methods
    for i, method in zip(index, study.methods, strict=False):
        if method.name in known:
            found += _method(study, method, known[method.name], i)
        if method.label == CONTROL or (method.label and _taken(method, study.methods)):
            reason = "the dense control has this label" if method.label == CONTROL else "this label is taken"
            found.append((("methods", i, "label"), Mistake(f"methods[{i}].label", reason, f'"{method.label}"')))
    if not index and study.target != "threshold":  # no method is known, but its fractions would be wrong anyway
        found += _fractions(study.sparsities, ("sparsities",), "sparsities")
    return list(dict.fromkeys(found)) + _files(study)


def _taken(method: Method, methods: Sequence[Method]) -> bool:
    """Whether a label is another entry's name, or an earlier one's label."""
    place = next(i for i, other in enumerate(methods) if other is method)
    return any(
        method.label == (other.label or other.name) and (i < place or other.label is None)
        for i, other in enumerate(methods)
        if other is not method
    )


def _method(study: Study, method: Method, info: MethodInfo, i: int) -> list[Located]:
    target = target_of(study, method)
    path, where = ("methods", i), f"methods[{i}]"
    if isinstance(method.schedule or study.schedule, AtInit) and not study.train.epochs:
        key = (*path, "schedule") if method.schedule else ("schedule",)
        reason = "at-init prunes before training, so [train] needs epochs (with a checkpoint they are 0 by default)"
        return [(key, Mistake(f"{where}.schedule", reason))]
    if target not in info.targets:
        key = (*path, "target") if method.target else ("target",)
        reason = (
            f"{method.name} only masks weights, so no channel, parameter or MAC goes away"
            if info.edit == "masks" and target != "threshold"
            else f"{method.name} does not know this target"
        )
        allowed = ", ".join(info.targets)
        return [(key, Mistake(f"{where}.target", reason, f'"{target}"', allowed))]
    if target == "threshold":
        return _threshold(study, method, i)
    values = method.sparsities or study.sparsities
    key = (*path, "sparsities") if method.sparsities else ("sparsities",)
    name = f"{where}.sparsities" if method.sparsities else "sparsities"
    return _fractions(values, key, name)


def _fractions(values: Sequence[float], key: tuple[str | int, ...], name: str) -> list[Located]:
    return [
        (key, Mistake(name, "a sparsity is the fraction removed, in [0, 1)", f"{value:g}"))
        for value in values
        if value >= 1
    ]


def _threshold(study: Study, method: Method, i: int) -> list[Located]:
    schedule = method.schedule or study.schedule
    if isinstance(schedule, Iterative) and schedule.spacing == "geometric":
        reason = "geometric spacing is of fractions; thresholds can only be spaced linearly"
        return [(("methods", i, "schedule"), Mistake(f"methods[{i}].schedule", reason))]
    return []


def _files(study: Study) -> list[Located]:
    found: list[Located] = []
    checkpoint = study.model.checkpoint
    if checkpoint and not is_file(user_path(checkpoint)):
        wrong = Mistake("model.checkpoint", "no such file", f'"{checkpoint}"')
        found.append((("model", "checkpoint"), wrong))
    root = user_path(study.data.root)
    if study.data.name == "folder" and not is_dir(root / "train"):
        reason = f"no folder {root / 'train'}: an image tree is root/train/<class>/<image> and root/test or root/val"
        found.append((("data", "root"), Mistake("data.root", reason, f'"{study.data.root}"')))
    return found


def target_of(study: Study, method: Method) -> str:
    """The target of a method: its own, else the study's; a method that knows no sparsity has its own kind."""
    known = catalogue().methods[method.name].targets
    if method.target:
        return method.target
    return study.target if study.target in known or "sparsity" in known else known[0]


def values_of(study: Study, method: Method) -> tuple[float, ...]:
    """The sparsities (or thresholds) that a method runs at, ascending."""
    if method.sparsities is None and target_of(study, method) == "threshold":
        return DEFAULT_THRESHOLDS
    return method.sparsities or study.sparsities
