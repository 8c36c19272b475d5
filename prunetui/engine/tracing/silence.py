"""The same network with channels silenced: what removing them must be equal to.

By the tensors' roles. What makes a channel is zeroed, weights and biases, and so is what scales and shifts it later,
since the shift of a norm would revive a channel of zeros. What divides by a spread is left alone: nothing comes of zero
divided by it, and dividing by zero would make of it what is no number. Layers that read the channel then read zeros.

Where a channel of zeros is none to its readers (behind a sigmoid it is a half), silencing ``reads`` zeroes what reads
it instead: the channel is made, and nobody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor, nn

from prunetui.api.groups import Group, Slice
from prunetui.engine.tracing.cut_tensors import Keep, named_tensors

Way = Literal["makes", "reads"]
"""Which end of a channel is silenced."""
SPREADS = ("var", "std")
"""In names of buffers that something is divided by."""


def silenced(
    groups: Iterable[Group], keep: Keep, tensors: Mapping[str, Tensor], ways: Mapping[str, Way]
) -> dict[str, Tensor]:
    """The tensors that change, with zeros; tied ones under every name. Groups that ``ways`` omits: what makes them."""
    gone: dict[int, Tensor] = {}
    for group in groups:
        mask = keep.get(group.name)
        if mask is None or bool(mask.all()):
            continue
        for piece in group.slices:
            if _is_zeroed(piece, ways.get(group.name, "makes")):
                old = tensors[piece.tensor]
                changed = gone[id(old)] if id(old) in gone else old.detach().clone()
                index = piece.index[~mask.cpu()].flatten().to(old.device)
                gone[id(old)] = changed.index_fill_(piece.dimension, index, 0)
    return {name: gone[id(old)] for name, old in tensors.items() if id(old) in gone}


def _is_zeroed(piece: Slice, way: Way) -> bool:
    if way == "reads":
        return piece.role == "reads"
    return piece.role == "makes" or (piece.role == "scales" and not any(part in piece.own for part in SPREADS))


def silence(model: nn.Module, groups: Iterable[Group], keep: Keep) -> None:
    """Silence in place what is not kept of a network; it stays as wide as it is."""
    tensors = named_tensors(model)
    for name, values in silenced(groups, keep, tensors, {}).items():
        tensors[name].data.copy_(values)
