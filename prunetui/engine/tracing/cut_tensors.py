"""A choice of kept channels as indices of tensors, and tensors cut to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.groups import Group
from prunetui.engine.layers import DoesNotFit

Keep = Mapping[str, Tensor]
"""Group -> bool [width], True survives. A group that is not named stays whole."""
Kept = dict[str, dict[int, Tensor]]
"""Tensor -> dimension -> bool [size of that dimension], True survives."""


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by each name that it has; those that a state dict leaves out too."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def put_tensor(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a parameter or buffer, as it is."""
    module, _, own = name.rpartition(".")
    owner = model.get_submodule(module)
    store: dict[str, Any] = owner._parameters if own in owner._parameters else owner._buffers
    store[own] = tensor
    if isinstance(owner, nn.RNNBase) and own in owner._flat_weights_names:  # it computes with a list of them
        owner._flat_weights[owner._flat_weights_names.index(own)] = tensor


def kept_indices(groups: Iterable[Group], keep: Keep, tensors: Mapping[str, Tensor]) -> Kept:
    """What is kept of every tensor that loses something.

    Raises:
        DoesNotFit: a choice does not fit its group, a slice its tensor, or two names of one tensor disagree.
    """
    kept: Kept = {}
    by_name = {group.name: group for group in groups}
    for name, mask in keep.items():
        group = by_name.get(name)
        if group is None:
            raise DoesNotFit(f"no group is called {name}; there are: {', '.join(by_name)}")
        _check_choice(group, mask)
        if bool(mask.all()):
            continue
        for piece in group.slices:
            size = _size(piece.tensor, piece.dimension, tensors)
            gone = piece.index[~mask.cpu()].flatten()
            if int(piece.index.max()) >= size or int(piece.index.min()) < 0:
                raise DoesNotFit(f"{piece.tensor} has {size} indices on dimension {piece.dimension}, {name} more")
            stay = kept.setdefault(piece.tensor, {}).setdefault(piece.dimension, torch.ones(size, dtype=torch.bool))
            stay[gone] = False
    _check_ties(kept, tensors)
    return kept


def _check_choice(group: Group, mask: Tensor) -> None:
    if mask.shape != (group.width,) or mask.dtype != torch.bool:
        raise DoesNotFit(f"{group.name} has {group.width} channels; got {tuple(mask.shape)} of {mask.dtype}")
    if not bool(mask.any()):
        raise DoesNotFit(f"{group.name} would lose all its {group.width} channels")


def _size(name: str, dimension: int, tensors: Mapping[str, Tensor]) -> int:
    tensor = tensors.get(name)
    if tensor is None:
        raise DoesNotFit(f"the network has no parameter or buffer called {name}")
    if not 0 <= dimension < tensor.dim():
        raise DoesNotFit(f"{name} has {tensor.dim()} dimensions; there is no dimension {dimension}")
    return tensor.shape[dimension]


def _check_ties(kept: Kept, tensors: Mapping[str, Tensor]) -> None:
    """One tensor under several names must lose the same under each, or its names would part."""
    names: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    for name, cuts in kept.items():
        for other in names[id(tensors[name])]:
            theirs = kept.get(other, {})
            if theirs.keys() != cuts.keys() or not all(torch.equal(theirs[d], stay) for d, stay in cuts.items()):
                raise DoesNotFit(f"{name} and {other} are one tensor, and would not lose the same")


def cut(tensor: Tensor, cuts: Mapping[int, Tensor]) -> Tensor:
    """A tensor without what is not kept on its dimensions, laid out in memory as it was (channels-last, transposed)."""
    left = tensor.detach()
    for dimension, stay in cuts.items():
        left = left.index_select(dimension, stay.nonzero().flatten().to(left.device))
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda d: (-strides[d], d))
    back = [order.index(d) for d in range(tensor.dim())]
    return left.permute(order).contiguous().permute(back)
