"""Classes of labels become channels, and channels that are wired alike become groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from prunetui.api.groups import Group, Role, Slice
from prunetui.engine.tracing.operations.contraction import KERNEL
from prunetui.engine.tracing.tensor_labels import UNUSED, TensorLabels

Place = tuple[str, int]
"""A dimension of a tensor."""
Unit = dict[Place, list[int]]
"""Where one channel lies: its indices of each dimension."""
NOT_MADE = "no weight makes it"
NOT_READ = "nothing reads it"
ALONE = "the only channel of its kind"


@dataclass(frozen=True)
class GroupsFound:
    """The groups of a network and what stays of it, with the reason."""

    groups: tuple[Group, ...]
    kept: Mapping[str, str]


def units_of(tensors: TensorLabels) -> GroupsFound:
    """Groups in the order in which the network has their first tensors."""
    for name in tensors.dimensions:
        if name not in tensors.used:
            for labels in tensors.dimensions[name]:
                tensors.labels.pin(labels, UNUSED)
    gathered: dict[tuple[tuple[Place, int], ...], list[Unit]] = {}
    for unit in _free(tensors):
        reason = _objection(tensors, unit)
        if reason:
            _pin(tensors, unit, reason)
        else:
            wiring = tuple((place, len(indices)) for place, indices in unit.items())
            gathered.setdefault(wiring, []).append(unit)
    groups: dict[str, Group] = {}
    for units in gathered.values():
        if len(units) == 1:
            _pin(tensors, units[0], ALONE)
            continue
        group = _group(tensors, units, groups)
        groups[group.name] = group
    return GroupsFound(tuple(groups.values()), _kept(tensors))


def _free(tensors: TensorLabels) -> Iterable[Unit]:
    """All channels that are not pinned, each with its places in the order of the network's tensors."""
    places = [(name, d) for name, dimensions in tensors.dimensions.items() for d in range(len(dimensions))]
    found: dict[int, Unit] = {}
    for place in places:
        labels = tensors.dimensions[place[0]][place[1]]
        if len(labels) < 2:
            tensors.labels.pin(labels, ALONE)
        roots = tensors.labels.roots(labels)
        free = ~tensors.labels.pinned(labels)
        for index, root in zip(torch.nonzero(free).flatten().tolist(), roots[free].tolist(), strict=True):
            found.setdefault(root, {}).setdefault(place, []).append(index)
    return found.values()


def _objection(tensors: TensorLabels, unit: Unit) -> str:
    """Why a channel that nothing pins must stay all the same."""
    roles = _roles(tensors, unit).values()
    if "makes" not in roles:
        return NOT_MADE
    return "" if any(place in tensors.reading for place in unit) else NOT_READ


def _roles(tensors: TensorLabels, unit: Unit) -> dict[Place, Role]:
    """What each place does with a channel. Of two weights that are multiplied with each other the last one makes."""
    roles: dict[Place, Role] = {place: tensors.roles.get(place, "scales") for place in unit}
    reading = [place for place, role in roles.items() if role == "reads"]
    if "makes" not in roles.values() and len(dict(reading)) > 1:
        roles[reading[-1]] = "makes"
    return roles


def _pin(tensors: TensorLabels, unit: Unit, reason: str) -> None:
    (name, dimension), indices = next(iter(unit.items()))
    tensors.labels.pin(tensors.dimensions[name][dimension][indices], reason)


def _group(tensors: TensorLabels, units: list[Unit], named: Mapping[str, Group]) -> Group:
    slices = []
    for place, role in _roles(tensors, units[0]).items():
        name, dimension = place
        indices = tuple(tuple(unit[place]) for unit in units)
        slices += [Slice(alias, dimension, indices, role) for alias in tensors.aliases[name]]
    slices.sort(key=lambda piece: ("makes", "scales", "reads").index(piece.role))
    name = slices[0].layer or slices[0].own
    others = sum(1 for other in named if other == name or other.startswith(name + "#"))
    return Group(name if not others else f"{name}#{others + 1}", tuple(slices))


def _kept(tensors: TensorLabels) -> dict[str, str]:
    """The first reason of each dimension with channels that stay; kernels and single channels are no news."""
    kept = {}
    for name, dimensions in tensors.dimensions.items():
        for d, labels in enumerate(dimensions):
            reason = next((why for why in tensors.labels.reasons(labels) if why), "") if len(labels) > 1 else ""
            if reason and reason != KERNEL:
                kept.update({f"{alias}[{d}]": reason for alias in tensors.aliases[name]})
    return kept
