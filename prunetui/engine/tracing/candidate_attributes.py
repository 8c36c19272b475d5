"""Integer attributes of modules that may have to follow the width of a group: candidates for a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from prunetui.api.groups import Group
from prunetui.engine.layers import following_attributes
from prunetui.engine.tracing.proposal import AttributeRule


@dataclass(frozen=True)
class ReshapedChannels:
    """Channels along a dimension of an activation where a module's code says sizes (a view, a split, an expansion)."""

    module: str
    roots: tuple[int, ...]
    """The class of each index."""


def candidate_rules(
    model: nn.Module, group: Group, roots: Sequence[int] = (), extents: Sequence[ReshapedChannels] = ()
) -> tuple[AttributeRule, ...]:
    """Integers that are as large as the group is somewhere, likely ones first; each has to be proved.

    They are looked for in the modules whose code reshapes the group's channels, then in those that hold the layers with
    its slices. ``roots`` are the classes of the group's channels, ``extents`` where they lie in activations.
    """
    sizes = _sizes_of(model, group, frozenset(roots), extents)
    near = dict.fromkeys(extent.module for extent in extents if not set(extent.roots).isdisjoint(roots))
    owners = dict.fromkeys(piece.layer for piece in group.slices)
    above = {name[:end]: None for name in owners for end in _ends(name)}
    modules = dict(model.named_modules(remove_duplicate=False))
    found: list[tuple[tuple[int, int, int, int], AttributeRule]] = []
    for name in [name for name in dict.fromkeys((*near, *above)) if name in modules]:
        follow = following_attributes(modules[name], {})  # these are known
        for attribute, value in vars(modules[name]).items():
            if type(value) is not int or attribute in follow or attribute.startswith("_"):
                continue
            for size, each in sizes:
                if value == size:
                    likely = (name not in near, not _telling(attribute), each, -name.count("."))
                    fixed = size - each * group.width
                    found.append((likely, AttributeRule(name, attribute, group.name, each, fixed)))
    return tuple(rule for _, rule in sorted(found, key=lambda pair: pair[0]))


TELLING = ("head", "chan", "feat", "dim", "width", "embed", "group", "hidden", "size", "plane", "filter")


def _telling(attribute: str) -> bool:
    return any(word in attribute.lower() for word in TELLING) and attribute not in ("head_dim", "kernel_size")


def _ends(name: str) -> list[int]:
    """Where the names of a module and of those that hold it end, the nearest first."""
    return [len(name), *(i for i in range(len(name) - 1, 0, -1) if name[i] == "."), 0]


def _sizes_of(
    model: nn.Module, group: Group, roots: frozenset[int], extents: Sequence[ReshapedChannels]
) -> list[tuple[int, int]]:
    """Sizes of dimensions on which the group lies, with how many indices each of its channels has there."""
    found = {(group.width, 1): None}
    for extent in extents:
        counts = Counter(root for root in extent.roots if root in roots)
        if len(counts) == group.width and len(set(counts.values())) == 1:
            found[len(extent.roots), next(iter(counts.values()))] = None
    shapes = {name: tensor.shape for name, tensor in model.state_dict(keep_vars=True).items()}
    for piece in group.slices:
        if piece.tensor in shapes:
            found[shapes[piece.tensor][piece.dimension], len(piece.indices[0])] = None
    return list(found)
