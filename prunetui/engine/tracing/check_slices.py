"""What can be said against a group before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from prunetui.api.groups import Group

Owners = dict[tuple[str, int, int], tuple[str, int]]


def misfits(groups: Iterable[Group], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Groups that cannot be right, each with the reason: slices beyond a tensor, an index that two channels have."""
    found: dict[str, str] = {}
    owners: Owners = {}
    seen: set[str] = set()
    for group in groups:
        twice = f"there are two groups called {group.name}" if group.name in seen else ""
        reason = twice or _misfit(group, tensors) or _shared(group, owners)
        seen.add(group.name)
        if reason:
            found[group.name] = reason
    return found


def _misfit(group: Group, tensors: Mapping[str, Tensor]) -> str:
    if not group.slices:
        return "it has no slices"
    if group.width < 2:
        return "it has one channel only, and one has to be left"
    for piece in group.slices:
        tensor = tensors.get(piece.tensor)
        if tensor is None:
            return f"the network has no parameter or buffer called {piece.tensor}"
        if not 0 <= piece.dimension < tensor.dim():
            return f"{piece.tensor} has {tensor.dim()} dimensions; there is no dimension {piece.dimension}"
        if len(piece.indices) != group.width or len({len(of) for of in piece.indices}) != 1 or not piece.indices[0]:
            return f"its channels have not equally many indices of {piece.tensor}"
        size = tensor.shape[piece.dimension]
        if not 0 <= int(piece.index.min()) <= int(piece.index.max()) < size:
            return f"{piece.tensor} has {size} indices on dimension {piece.dimension}, and the group others"
    return ""


def _shared(group: Group, owners: Owners) -> str:
    """One tensor may stand in a group twice, as made and as read; then a channel has the same indices in both."""
    ours: Owners = {}
    for piece in group.slices:
        for channel, indices in enumerate(piece.indices):
            for index in indices:
                place, owner = (piece.tensor, piece.dimension, index), (group.name, channel)
                other = owners.get(place) or ours.setdefault(place, owner)
                if other != owner:
                    where = f"index {index} of {piece.tensor}, dimension {piece.dimension}"
                    return f"{where}, is channel {other[1]} of {other[0]} too"
    owners.update(ours)
    return ""
