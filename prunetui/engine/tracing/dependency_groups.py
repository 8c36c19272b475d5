"""Groups of coupled channels as Torch-Pruning's graph tells them, put into slices here and nowhere else.

A group is used only when its channels are all that every layer in it has there: across a zero-padded shortcut they are
not, and removal would be wrong, so they stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from prunetui.api.groups import Group, Slice
from prunetui.engine.layers import Layer, Side, kind_of


def dependency_groups(
    model: nn.Module, example: Tensor, layers: Mapping[str, Layer]
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The groups of a network that computes ``example``, and the layers whose channels must stay.

    ``layers`` are those that the example passes through; the last of them makes the outputs.
    """
    with torch.enable_grad():  # Torch-Pruning follows autograd's graph
        dependency = torch_pruning.DependencyGraph().build_dependency(model, example)
    names = {module: name for name, module in model.named_modules()}
    roots = [model.get_submodule(name) for name, layer in layers.items() if layer.prunable]
    kinds = list(dict.fromkeys(type(root) for root in roots))
    groups: list[Group] = []
    refused: list[str] = []
    for raw in dependency.get_all_groups(ignored_layers=roots[-1:], root_module_types=kinds):
        members = list(_members(raw, names))
        slices = [_slices(member, len(members[0].indices)) for member in members]
        if all(found is not None for found in slices):
            groups.append(Group(members[0].name, tuple(chain.from_iterable(found for found in slices if found))))
        else:
            refused += [member.name for member in members if member.makes]
    return tuple(groups), tuple(refused)


@dataclass(frozen=True)
class _Member:
    """What Torch-Pruning says of one layer of a group: that these of its outputs or inputs go with its channels."""

    name: str
    module: nn.Module | nn.Parameter
    side: Side
    indices: Sequence[int]
    roots: Sequence[int | None]
    """The channel that each index belongs to."""

    @property
    def makes(self) -> bool:
        kind = kind_of(self.module) if isinstance(self.module, nn.Module) else None
        return self.side == "outputs" and kind is not None and kind.role == "makes"


def _members(raw: Any, names: Mapping[nn.Module, str]) -> Iterator[_Member]:
    """The layers of one of Torch-Pruning's groups, each side of a layer once; other operations have no parameters."""
    seen: set[tuple[str, Side]] = set()
    for item in raw:
        module = item.dep.target.module
        side: Side = "outputs" if item.dep.handler.__name__ == "prune_out_channels" else "inputs"
        if isinstance(module, nn.Parameter):
            yield _Member("", module, side, item.idxs, item.root_idxs)
        elif module in names and (names[module], side) not in seen:
            seen.add((names[module], side))
            yield _Member(names[module], module, side, item.idxs, item.root_idxs)


def _slices(member: _Member, width: int) -> tuple[Slice, ...] | None:
    """Where a group of ``width`` channels lies in one of its layers; None where they cannot be removed from it."""
    kind = kind_of(member.module) if isinstance(member.module, nn.Module) else None
    if kind is None or not isinstance(member.module, nn.Module):
        return None
    size = kind.width(member.module, member.side)
    channels: list[list[int]] = [[] for _ in range(width)]
    for index, root in zip(member.indices, member.roots, strict=True):
        if root is None or not root < width:
            return None
        channels[root].append(index)
    if sorted(member.indices) != list(range(size)) or len({len(indices) for indices in channels}) != 1:
        return None
    return kind.slices(member.name, member.module, member.side, tuple(tuple(sorted(own)) for own in channels))
