"""What only methods say of themselves: the kind of edit, targets, schedules, and whether they shape a training."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunetui.errors import PrunetuiError
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.option import fields_of

COMMON_KEYS = ("name", "label", "schedule", "target", "sparsities", "parts")
PARTS = "parts"
"""The field of a hybrid that holds methods of their own, which the study reads itself."""
EDITS = {"Masks": "masks", "Channels": "channels", "Modules": "modules"}
FAMILIES = {"masks": "weights", "channels": "channels", "modules": "sharing", "sequence": "sequence"}
TARGETS = {
    "masks": ("sparsity",),
    "channels": ("sparsity", "channels", "params", "macs"),
    "modules": ("channels",),
    "sequence": ("sparsity",),
}
HOOKS = ("during_training", "after_step")
"""What a method that shapes training has at least one of."""


@dataclass(frozen=True, kw_only=True)
class MethodInfo(Contribution):
    """What can be known of a method without running it."""

    family: str
    edit: str
    targets: tuple[str, ...]
    schedules: tuple[str, ...]
    """Schedules it makes sense for; empty when it has no say."""
    schedule: str
    """The one it runs with where a study names none; empty when it has no say."""
    trains: str
    """Whether it shapes the training before its edit: empty, "alike" for all values, or "by value"."""


def described(node: ast.ClassDef, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``MethodInfo`` that its class and the arguments of ``register`` tell.

    Raises:
        PrunetuiError: it has no ``prune`` that returns a known edit, or an argument or option cannot be.
    """
    targets, schedules = given.get("targets", ()), given.get("schedules", ())
    for what, names in (("targets", targets), ("schedules", schedules)):
        if not (isinstance(names, tuple | list) and all(isinstance(n, str) for n in names)):
            raise PrunetuiError(f"the {what} of {name} must be a tuple of names")
    schedule = given.get("schedule", "")
    if not isinstance(schedule, str) or (schedules and schedule and schedule not in schedules):
        raise PrunetuiError(f"the schedule of {name} must be the name of one that it can run with; got {schedule!r}")
    edit = _edit_of(node)
    return {
        "options": tuple(fields_of(node, (PARTS,), COMMON_KEYS)),
        "takes": frozenset(),
        "family": given.get("family", FAMILIES[edit]),
        "edit": edit,
        "targets": tuple(targets) or TARGETS[edit],
        "schedules": tuple(schedules),
        "schedule": schedule,
        "trains": _trains(node),
    }


def _trains(node: ast.ClassDef) -> str:
    """Which arguments the method's hooks take: ``training``, or one of them ``training`` and ``sparsity``."""
    hooks = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name in HOOKS]
    return ("by value" if any(len(item.args.args) > 2 for item in hooks) else "alike") if hooks else ""


def _edit_of(node: ast.ClassDef) -> str:
    if any(isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == PARTS for item in node.body):
        return "sequence"
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "prune":
            returned = ast.unparse(item.returns) if item.returns else "nothing"
            if returned not in EDITS:
                raise PrunetuiError(f"prune of {node.name} returns {returned}; it must be one of {[*EDITS]}")
            return EDITS[returned]
    raise PrunetuiError(f"{node.name} has no method `prune`")
