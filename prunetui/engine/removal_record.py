"""What was removed from a network, as plain data: enough to remove the same from a fresh one of its class.

It hangs on the smaller network, so that it goes where that goes, and is composed when that is pruned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.layers.shared_convolution import share_as
from prunetui.engine.models.attention_modules import attention_in, has_own_heads, with_own_heads
from prunetui.engine.models.in_memory import folded, put_tensors
from prunetui.engine.state import set_attribute
from prunetui.engine.tracing.cut_tensors import Kept, cut, named_tensors
from prunetui.formats.shared_filters import sharing_layers

PLACE = "_prunetui_removal"
"""The attribute of a network that holds its record."""
Indices = tuple[int, ...]


@dataclass(frozen=True)
class Rewritten:
    """What of a network was made another, that computes the same, before anything was removed."""

    folded: tuple[str, ...] = ()
    """Weights that were made plain, of those that are computed from others in each pass."""
    own_heads: tuple[str, ...] = ()
    """Modules of attention that were given heads of their own."""


@dataclass(frozen=True)
class RemovalRecord:
    """How a network differs from a fresh one of its class, apart from the values of its tensors."""

    network: str
    """Class of the network."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes that the tensors had which lost channels."""
    kept: Mapping[str, Mapping[int, Indices]] = field(default_factory=dict)
    """Tensor -> dimension -> the indices that are left of it, ascending."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """``module.attribute`` -> the whole number, or numbers, that it became."""
    folded: tuple[str, ...] = ()
    """Weights that were made plain, of those that are computed from others in each pass."""
    shared: Mapping[str, int] = field(default_factory=dict)
    """Convolutions whose outputs share filters, with how many outputs they have."""
    own_heads: tuple[str, ...] = ()
    """Modules of attention that were given heads of their own."""

    def after(self, before: RemovalRecord | None) -> RemovalRecord:
        """This removal as one from the network that ``before`` is of, whose result it was made from."""
        if before is None:
            return self
        kept = {name: dict(of) for name, of in before.kept.items()}
        for name, of in self.kept.items():
            for dimension, indices in of.items():
                earlier = before.kept.get(name, {}).get(dimension)
                kept.setdefault(name, {})[dimension] = tuple(earlier[i] for i in indices) if earlier else indices
        return RemovalRecord(
            before.network,
            {**self.shapes, **before.shapes},
            kept,
            {**before.attributes, **self.attributes},
            (*before.folded, *self.folded),
            {**before.shared, **self.shared},
            (*before.own_heads, *self.own_heads),
        )


def record_of(network: nn.Module) -> RemovalRecord | None:
    """The record of a network that was pruned in memory."""
    found = vars(network).get(PLACE)
    return found if isinstance(found, RemovalRecord) else None


def note_removal(network: nn.Module, record: RemovalRecord) -> None:
    """Let a network hold its record."""
    setattr(network, PLACE, record)


def recorded(
    dense: nn.Module, kept: Kept, attributes: Mapping[str, Any], rewritten: Rewritten, tensors: Mapping[str, Tensor]
) -> RemovalRecord:
    """The record of a removal: ``kept`` marks what is left of tensors, ``tensors`` are those of the result."""
    before = named_tensors(dense)
    left = {
        name: {dimension: tuple(stay.nonzero().flatten().tolist()) for dimension, stay in of.items()}
        for name, of in kept.items()
    }
    record = RemovalRecord(
        type(dense).__name__,
        {name: tuple(before[name].shape) for name in left},
        left,
        attributes,
        rewritten.folded,
        {name: len(tensors[f"{name}.labels"]) for name in sorted(sharing_layers(tensors) - sharing_layers(before))},
        rewritten.own_heads,
    )
    return record.after(record_of(dense))


def replay(record: RemovalRecord, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make a fresh network, in place, what was pruned; ``tensors`` are those of the file, by every name.

    Raises:
        ValueError: it is another network than the one that was pruned.
    """
    folded(network)
    _give_own_heads(record, network)
    here = named_tensors(network)
    if missing := sorted({*record.folded, *record.kept} - here.keys()):
        raise ValueError(f"it has no {missing[0]}")
    _check_shapes(record, here)
    share_as(network, tensors)
    there = named_tensors(network)
    if foreign := sorted(tensors.keys() - there.keys()):
        raise ValueError(f"it has no {foreign[0]}")
    if lacking := sorted(network.state_dict().keys() - tensors.keys()):
        raise ValueError(f"the file has no {lacking[0]}")
    unsaved = {name: cut(here[name], _masks(of, here[name])) for name, of in record.kept.items() if name not in tensors}
    values = {name: tensor.to(there[name].device) for name, tensor in tensors.items()}
    _check_left(record, values, here)
    put_tensors(network, {**unsaved, **values}, like=network)
    for place, value in record.attributes.items():
        set_attribute(network, place, torch.tensor(value))


def _give_own_heads(record: RemovalRecord, network: nn.Module) -> None:
    there, modules = attention_in(network), dict(network.named_modules())
    for name in record.own_heads:
        if name not in there and not (name in modules and has_own_heads(modules[name])):
            found = type(modules[name]).__name__ if name in modules else "not there"
            raise ValueError(f"its {name} is {found}, that of the file was attention that can lose heads")
    with_own_heads(network, record.own_heads)


def _check_shapes(record: RemovalRecord, here: Mapping[str, Tensor]) -> None:
    for name, shape in record.shapes.items():
        found = tuple(here[name].shape) if name in here else None
        if found != shape:
            raise ValueError(
                f"its {name} is {list(found) if found else 'not there'}, that of the file was {list(shape)}"
            )


def _check_left(record: RemovalRecord, every: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> None:
    for name, tensor in every.items():
        if name not in here or name.rpartition(".")[0] in record.shared:
            continue
        cuts = record.kept.get(name, {})
        wanted = [len(cuts[d]) if d in cuts else size for d, size in enumerate(here[name].shape)]
        if list(tensor.shape) != wanted:
            raise ValueError(f"{name} of the file is {list(tensor.shape)}; of this network {wanted} would be left")


def _masks(of: Mapping[int, Indices], tensor: Tensor) -> dict[int, Tensor]:
    masks = {}
    for dimension, indices in of.items():
        size = tensor.shape[dimension] if 0 <= dimension < tensor.dim() else 0
        if list(indices) != sorted(set(indices)) or not indices or not 0 <= indices[0] <= indices[-1] < size:
            raise ValueError(f"the indices that are left of dimension {dimension} do not fit {list(tensor.shape)}")
        masks[dimension] = torch.zeros(size, dtype=torch.bool).index_fill(0, torch.tensor(indices), True)
    return masks
