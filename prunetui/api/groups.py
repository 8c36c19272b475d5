"""Where a channel lives: slices of tensors, and the groups of channels that can only go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
from torch import Tensor

Role = Literal["makes", "scales", "reads"]
"""What a tensor does with a channel: weights and biases make it, norms scale it, weights of later layers read it."""
Indices = tuple[tuple[int, ...], ...]


def full_name(layer: str, own: str) -> str:
    """The name in the state dict of a layer's own tensor; the network itself may have some, and is called nothing."""
    return f"{layer}.{own}" if layer else own


@dataclass(frozen=True)
class Slice:
    """Where the channels of a group lie in one tensor: channel i at ``indices[i]`` of ``dimension``.

    One index a channel is the ordinary case. A linear layer that reads a flattened map has a run of indices a channel;
    behind a concatenation they begin at an offset; query, key and value of a fused projection are three slices of one
    tensor. All channels of a slice have equally many indices, and no two have the same.
    """

    tensor: str
    """Name in the network's state dict."""
    dimension: int
    indices: Indices
    role: Role

    @property
    def layer(self) -> str:
        """The module that holds the tensor."""
        return self.tensor.rpartition(".")[0]

    @property
    def own(self) -> str:
        """The tensor's name in that module."""
        return self.tensor.rpartition(".")[2]

    @cached_property
    def index(self) -> Tensor:
        """``indices`` as int64 [width, indices a channel]."""
        return torch.tensor(self.indices, dtype=torch.int64)

    @cached_property
    def in_order(self) -> bool:
        """Whether channel i lies at index i, for every i."""
        return self.indices == one_each(len(self.indices))

    def sums(self, values: Tensor) -> Tensor:
        """The sum over each channel [width] of values shaped like the tensor."""
        along = values.movedim(self.dimension, 0)
        sums = along.reshape(len(along), -1).sum(1)
        return sums if self.in_order and len(sums) == len(self.indices) else sums[self.index.to(sums.device)].sum(1)

    def spread(self, values: Tensor, tensor: Tensor, elsewhere: float = 0) -> Tensor:
        """``values`` [width], one a channel, shaped to multiply ``tensor``; indices of no channel get ``elsewhere``."""
        size = tensor.shape[self.dimension]
        if not self.in_order or size != len(values):
            index = self.index.to(values.device)
            values = values.new_full((size,), elsewhere).index_put((index,), values[:, None].expand(index.shape))
        return values.view([size if d == self.dimension else 1 for d in range(tensor.dim())])


@lru_cache(maxsize=256)
def one_each(width: int, each: int = 1, start: int = 0) -> Indices:
    """The indices of ``width`` channels that follow one another from ``start``, ``each`` of them a channel."""
    return tuple(tuple(range(start + i * each, start + (i + 1) * each)) for i in range(width))


@dataclass(frozen=True)
class Group:
    """Channels that can only go together: with a channel goes what it has of every slice."""

    name: str
    """That of the first layer that makes them."""
    slices: tuple[Slice, ...]

    @property
    def width(self) -> int:
        """How many channels there are."""
        return len(self.slices[0].indices)

    @cached_property
    def producers(self) -> tuple[str, ...]:
        """The layers that make these channels."""
        return self._layers("makes")

    @cached_property
    def norms(self) -> tuple[str, ...]:
        """The batch norms on them."""
        return self._layers("scales")

    @cached_property
    def consumers(self) -> tuple[str, ...]:
        """The layers that read them."""
        return self._layers("reads")

    def _layers(self, role: Role) -> tuple[str, ...]:
        return tuple(dict.fromkeys(piece.layer for piece in self.slices if piece.role == role))

    def weights(self, *roles: Role) -> Iterator[Slice]:
        """The slices of weights with these roles, one role after the other."""
        for role in roles:
            yield from (s for s in self.slices if s.role == role and s.own == "weight")


def left_of(groups: Sequence[Group], kept: Sequence[Tensor]) -> tuple[Group, ...]:
    """The groups when only the channels ``kept`` (ascending, one tensor a group) are left, where they then lie."""
    gone: dict[tuple[str, int], list[Tensor]] = {}
    for group, stay in zip(groups, kept, strict=True):
        go = torch.ones(group.width, dtype=torch.bool)
        go[stay] = False
        for piece in group.slices if bool(go.any()) else ():
            gone.setdefault((piece.tensor, piece.dimension), []).append(piece.index[go].flatten())

    def left(piece: Slice, stay: Tensor) -> Slice:
        removed = gone.get((piece.tensor, piece.dimension))
        if removed is None:
            return piece
        index = piece.index[stay]
        below = torch.searchsorted(torch.cat(removed).sort().values, index)
        return Slice(piece.tensor, piece.dimension, _as_tuples(index - below), piece.role)

    return tuple(
        Group(group.name, tuple(left(piece, stay) for piece in group.slices))
        for group, stay in zip(groups, kept, strict=True)
    )


def _as_tuples(index: Tensor) -> Indices:
    plain = index.shape[1] == 1 and torch.equal(index[:, 0], torch.arange(len(index)))
    return one_each(len(index)) if plain else tuple(map(tuple, index.tolist()))
