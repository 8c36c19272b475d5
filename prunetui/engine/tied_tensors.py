"""Tensors with several names: one value, saved once, counted once, changed under all of its names.

Embeddings and the layer that predicts words share a table, a layer is used at two places, a weight stands in a module
and in a part of it. A state dict has such a tensor under each name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

Value = TypeVar("Value")
Ties = Mapping[str, tuple[str, ...]]
"""Name -> all names of the same tensor, itself included, in the order of the network; of those with several."""


def ties_of(tensors: Mapping[str, Tensor]) -> Ties:
    """The ties of a state dict that holds the very tensors (``keep_vars``), or copies of which each is one object."""
    names: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    return {name: tuple(same) for same in names.values() if len(same) > 1 for name in same}


def ties_in(model: nn.Module) -> Ties:
    """The ties of a network's state dict."""
    return ties_of(model.state_dict(keep_vars=True))


def copied_values(model: nn.Module) -> dict[str, Tensor]:
    """The values of a network's state dict; names of one tensor hold one copy."""
    copies: dict[int, Tensor] = {}
    tensors = model.state_dict(keep_vars=True)
    return {name: copies.setdefault(id(t), t.detach().clone()) for name, t in tensors.items()}


def once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its names, as files hold them."""
    ties = ties_of(tensors)
    return {name: tensor for name, tensor in tensors.items() if name not in ties or ties[name][0] == name}


def under_all_names(tensors: Mapping[str, Value], ties: Ties) -> dict[str, Value]:
    """What is given by name under all names of each tensor, as one object: that of the first name that is there."""
    found = dict(tensors)
    for names in set(ties.values()):
        given = next((found[name] for name in names if name in found), None)
        if given is not None:
            found.update(dict.fromkeys(names, given))
    return found


def tie(model: nn.Module, ties: Ties) -> None:
    """Let the names of one tensor hold that of the first name again, in place."""
    for names in set(ties.values()):
        owner, _, own = names[0].rpartition(".")
        tensor = getattr(model.get_submodule(owner), own)
        for name in names[1:]:
            other, _, theirs = name.rpartition(".")
            place: Any = model.get_submodule(other)
            setattr(place, theirs, tensor)
