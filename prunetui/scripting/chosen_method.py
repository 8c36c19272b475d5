"""The pruning method of a call: by its name or as an object, with its options, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetui.api import Channels, Masks, Modules, Positive
from prunetui.config.method_tables import method_tables
from prunetui.config.schedule import SHAPED_THROUGHOUT
from prunetui.errors import UsageError
from prunetui.plugins import method_catalogue
from prunetui.plugins.method_source import HOOKS, TARGETS
from prunetui.plugins.own_files import absolute

KINDS = {Masks: "masks", Channels: "channels", Modules: "modules"}
TRAINED = "epochs"
"""The option that says for how many epochs a method shapes a training before its edit."""


AS_WRITTEN = 1e-4
"""How far a fraction may be from what was meant, as 0.6667 is from two thirds."""


@dataclass(frozen=True)
class ChosenMethod:
    """A method that is to be asked for an edit."""

    name: str
    method: Any
    kind: str
    """masks, channels or modules."""
    options: Mapping[str, Any]


def chosen_method(method: Any, options: Mapping[str, Any], target: str, amount: float) -> ChosenMethod:
    """The method that a call names, or is given, for a target and an amount.

    Raises:
        UsageError: there is none of this name, it does not take these options, or target and amount do not go with it.
    """
    found = _named(method, options) if isinstance(method, str) else _given(method, options)
    chosen, targets = found
    if target not in targets:
        near = difflib.get_close_matches(target, targets, 1)
        raise UsageError(
            f"the method {chosen.name} has no target {target!r}; it has: {', '.join(targets)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    _check_amount(target, amount)
    if target == "pattern":
        _check_pattern(chosen.options, amount)
    return chosen


def with_own(options: Any, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of a method, with those that are arguments of their own.

    Raises:
        UsageError: they are no mapping.
    """
    if options is not None and not isinstance(options, Mapping):
        raise UsageError(f"options are {options!r}; they must be a mapping of names to values")
    return {**(options or {}), **own}


def _check_pattern(options: Mapping[str, Any], amount: float) -> None:
    n, m = options.get("n"), options.get("m")
    if not (isinstance(n, int) and isinstance(m, int) and 0 < n < m):
        raise UsageError(f"n is {n!r} and m is {m!r}; a pattern keeps n of m with 0 < n < m")
    if abs(amount - (1 - n / m)) > AS_WRITTEN:
        raise UsageError(
            f"amount is {amount!r}; the pattern {n}:{m} removes {1 - n / m:.4g}: say that, or another n and m"
        )


def _check_amount(target: str, amount: float) -> None:
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not number or not amount > 0 or (target != "threshold" and not amount < 1):
        what = "above 0" if target == "threshold" else "the fraction to remove, between 0 and 1"
        raise UsageError(f"amount is {amount!r}; it must be {what}")


def _named(name: str, options: Mapping[str, Any]) -> tuple[ChosenMethod, tuple[str, ...]]:
    name = absolute(name, Path())
    info = method_catalogue.method_info(name)
    tables, mistakes = method_tables([{**options, "name": name}])
    if mistakes:
        raise UsageError("; ".join(f"{mistake}".removeprefix(": ") for _, mistake in mistakes))
    if info.edit == "sequence":
        raise UsageError(f"the method {name} is a sequence of others: call prune once for each of them")
    if info.schedules and set(info.schedules) <= set(SHAPED_THROUGHOUT):
        raise UsageError(f"the method {name} acts while a network is trained: run it in a study")
    own: Mapping[str, Any] = tables[0]["options"]  # type: ignore[index]
    method = method_catalogue.load(name)(**own)
    _check_not_trained(name, method)
    defaults = {option.name: option.default for option in info.options}
    return ChosenMethod(name, method, info.edit, {**defaults, **own}), info.targets


def _given(method: Any, options: Mapping[str, Any]) -> tuple[ChosenMethod, tuple[str, ...]]:
    """An instance of a method: of one that is listed, or of a class of one's own."""
    kind = type(method)
    if isinstance(method, type) or not callable(getattr(method, "prune", None)):
        what = f"the class {method.__name__}" if isinstance(method, type) else f"an object of {kind.__name__}"
        raise UsageError(f"method is {what}; it must be a name, or an instance with a method prune(net, sparsity)")
    if options:
        raise UsageError(f"options go with the name of a method; {kind.__name__} is an instance and has its own")
    _check_not_trained(kind.__name__, method)
    listed = method_catalogue.catalogue().methods
    same = (known for known, info in listed.items() if (info.module, info.symbol) == (kind.__module__, kind.__name__))
    name = next(same, kind.__name__)
    fields = dataclasses.fields(method) if dataclasses.is_dataclass(method) else ()
    own = {field.name: getattr(method, field.name) for field in fields}
    returned = _returned(method)
    targets = listed[name].targets if name in listed else TARGETS[returned]
    return ChosenMethod(name, method, returned, own), targets


def _returned(method: Any) -> str:
    """The kind of edit that ``prune`` is annotated to return."""
    try:
        found = typing.get_type_hints(type(method).prune).get("return")
    except NameError:
        found = None
    if found not in KINDS:
        names = ", ".join(kind.__name__ for kind in KINDS)
        raise UsageError(f"prune of {type(method).__name__} does not say what it returns: annotate it with {names}")
    return KINDS[found]


def _check_not_trained(name: str, method: Any) -> None:
    epochs: Any = getattr(method, TRAINED, 0)
    if not (any(hasattr(method, hook) for hook in HOOKS) and epochs):
        return
    needed = typing.get_type_hints(type(method), include_extras=True).get(TRAINED) == Positive
    hint = "it has no criterion without" if needed else f"{TRAINED} = 0 prunes by its criterion alone"
    raise UsageError(
        f"{name} with {TRAINED} = {epochs} trains a network before its edit, which a study does (prunetui.run); {hint}"
    )
