"""What makes a well-formed study impossible: rules that span several keys, refused with their reason."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.config.choices import option_of, pattern_of, shaping_epochs, target_of, values_of
from prunetui.config.option_checks import option_mistakes
from prunetui.config.part_checks import part_mistakes
from prunetui.config.schedule_checks import schedule_mistake
from prunetui.config.schema import MethodTable, Study
from prunetui.config.size import too_large
from prunetui.errors import Mistake
from prunetui.files.paths import is_dir, is_file, user_path
from prunetui.plugins.catalogue import catalogue as catalogue_of
from prunetui.plugins.libraries import LIBRARIES, library_of, weights_named
from prunetui.plugins.method_catalogue import MethodInfo, catalogue

Located = tuple[tuple[str | int, ...], Mistake]

CONTROL = "dense"


def semantic_mistakes(study: Study, index: Sequence[int]) -> list[Located]:
    """Everything wrong with a study whose keys and types are right; ``index`` is each method's place in the file."""
    found: list[Located] = []
    known = catalogue().methods
    taken = _taken(study.methods)
    for i, method, is_taken in zip(index, study.methods, taken, strict=False):
        if method.name in known:
            found += _method(study, method, known[method.name], i)
        if method.label == CONTROL or is_taken:
            reason = "the dense control has this label" if method.label == CONTROL else "this label is taken"
            found.append((("methods", i, "label"), Mistake(f"methods[{i}].label", reason, f'"{method.label}"')))
    if not index and study.target != "threshold":  # no method is known, but its fractions would be wrong anyway
        found += _fractions(study.sparsities, ("sparsities",), "sparsities")
    found = list(dict.fromkeys(found))
    return found + option_mistakes(study) + _files(study) + ([] if found else _size(study))


def _taken(methods: Sequence[MethodTable]) -> list[bool]:
    """Of each entry, whether its label is another entry's name, or an earlier one's label."""
    names = {method.title for method in methods if method.label is None}
    first: dict[str, int] = {}
    for i, method in enumerate(methods):
        first.setdefault(method.title, i)
    return [bool(m.label) and (m.label in names or first[m.label or ""] < i) for i, m in enumerate(methods)]


def _method(study: Study, method: MethodTable, info: MethodInfo, i: int) -> list[Located]:
    target = target_of(study, method)
    path, where = ("methods", i), f"methods[{i}]"
    if study.kind == "sensitivity" and info.edit == "sequence":
        reason = "a sensitivity study prunes one layer by one method, a hybrid is several; list its parts as methods"
        return [((*path, "name"), Mistake(f"{where}.name", reason, f'"{method.name}"'))]
    wrong = part_mistakes(method, where)
    if wrong:
        return [((*path, "parts"), mistake) for mistake in wrong]
    if shaping_epochs(method) < 0:
        got = str(shaping_epochs(method))
        return [((*path, "epochs"), Mistake(f"{where}.epochs", "a number of epochs is 0 or more", got))]
    reason = schedule_mistake(study, method)
    if reason:
        key = (*path, "schedule") if method.schedule else ("schedule",)
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
    if "pattern" in info.targets and (found := _of_pattern(study, method, info, path, where)):
        return found
    if target == "threshold":
        return []
    values = values_of(study, method)
    key = (*path, "sparsities") if method.sparsities else ("sparsities",)
    name = f"{where}.sparsities" if method.sparsities else "sparsities"
    return _fractions(values, key, name)


def _of_pattern(
    study: Study, method: MethodTable, info: MethodInfo, path: tuple[str | int, ...], where: str
) -> list[Located]:
    """What is wrong with a method that knows patterns, where it is to make one, or has what is of them only."""
    target, values = target_of(study, method), values_of(study, method)
    # A study that is written out says all options: those that are what they are by default are no mistake.
    own = {option.name for option in info.options if method.options.get(option.name, option.default) != option.default}
    idle = [name for name in (("n", "m") if target != "pattern" else ("scope",)) if name in own]
    if idle:
        other = f'n and m are of the target "pattern", and this is "{target}"'
        reason = other if target != "pattern" else "a pattern is chosen within every m weights: leave scope out"
        return [((*path, idle[0]), Mistake(f"{where}.{idle[0]}", reason, f"{method.options[idle[0]]}"))]
    if target != "pattern":
        return []
    if not 0 < pattern_of(method) < 1:
        got = f"{option_of(method, 'n')}:{option_of(method, 'm')}"
        return [((*path, "n"), Mistake(f"{where}.n", "a pattern keeps n of m with 0 < n < m", got))]
    if option_of(method, "budget") not in (None, "uniform"):
        reason = "a pattern takes the same share of every layer: leave budget out"
        return [((*path, "budget"), Mistake(f"{where}.budget", reason, f'"{option_of(method, "budget")}"'))]
    if study.layers.floor > 1 - pattern_of(method) + 1e-9:
        reason = f"{method.name} keeps {1 - pattern_of(method):.2%} of every layer, less than the floor"
        return [(("layers", "floor"), Mistake("layers.floor", reason, f"{study.layers.floor:g}"))]
    if len(values) > 1 or abs(values[0] - pattern_of(method)) > 1e-9:
        reason = f"{method.name} removes exactly what its pattern says; leave sparsities away"
        got, only = ", ".join(f"{v:g}" for v in values), f"{pattern_of(method):g}"
        return [((*path, "sparsities"), Mistake(f"{where}.sparsities", reason, got, only))]
    return []


def _fractions(values: Sequence[float], key: tuple[str | int, ...], name: str) -> list[Located]:
    return [
        (key, Mistake(name, "a sparsity is the fraction removed, in [0, 1)", f"{value:g}"))
        for value in values
        if value >= 1
    ]


def _size(study: Study) -> list[Located]:
    reason = too_large(study)
    return [((), Mistake("", reason))] if reason else []


def _files(study: Study) -> list[Located]:
    found: list[Located] = []
    checkpoint = study.model.checkpoint
    if weights_named(checkpoint) and checkpoint:
        library = checkpoint.partition(":")[0]
        if library_of(study.model.name) != LIBRARIES[library]:
            words = f"only networks of {library} have weights of {library}, and the model is {study.model.name}"
            found.append((("model", "checkpoint"), Mistake("model.checkpoint", words, f'"{checkpoint}"')))
    elif checkpoint and not is_file(user_path(checkpoint)):
        wrong = Mistake("model.checkpoint", "no such file", f'"{checkpoint}"')
        found.append((("model", "checkpoint"), wrong))
    root = user_path(study.data.root)
    # Test images alone are enough for `evaluate`; without training images a run ends before it starts.
    is_tree = catalogue_of("data").found[study.data.name].given.get("tree")
    if is_tree and not any(is_dir(root / split) for split in ("train", "test", "val")):
        reason = f"no folder {root / 'train'}: an image tree is root/train/<class>/<image> and root/test or root/val"
        found.append((("data", "root"), Mistake("data.root", reason, f'"{study.data.root}"')))
    return found
