"""What a graph proposes of a network: groups of channels that may go, and what must stay, with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from prunetui.api.groups import Group


@dataclass(frozen=True)
class AttributeRule:
    """An integer attribute of a module that follows a group's width: ``each`` times the channels left, plus ``fixed``.

    ``num_heads`` of an attention follows its heads with each = 1; ``num_features`` behind a flatten with each = 49.
    """

    module: str
    attribute: str
    group: str
    each: int
    fixed: int = 0


@dataclass(frozen=True)
class Dimension:
    """A dimension of what is multiplied: its size, and how much of it goes with a channel of each group."""

    size: int
    parts: tuple[tuple[str, int], ...] = ()
    """(group, how many indices of the dimension each of its channels has)."""

    def left(self, lost: Mapping[str, int]) -> int:
        """The size when groups have lost so many channels."""
        return self.size - sum(each * lost.get(group, 0) for group, each in self.parts)


@dataclass(frozen=True)
class Product:
    """One product of matrices, or one use of a layer's weight: its dimensions multiply to its multiply-accumulates.

    Queries with keys are [heads, tokens, width of a head, tokens]: with a head go its multiply-accumulates.
    """

    module: str
    """Whose code multiplies."""
    of_layer: bool
    """Whether it is a layer with its own weight; the dimensions then say how often the weight is used."""
    dimensions: tuple[Dimension, ...]

    def times(self, lost: Mapping[str, int]) -> int:
        """The product of the dimensions when groups have lost so many channels."""
        return math.prod(dimension.left(lost) for dimension in self.dimensions)

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that it depends on."""
        return tuple(dict.fromkeys(group for dimension in self.dimensions for group, _ in dimension.parts))


@dataclass(frozen=True)
class Proposal:
    """Groups of channels that may go together, and what must stay."""

    groups: tuple[Group, ...]
    attributes: tuple[AttributeRule, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    """``name.weight[0]`` (a dimension of a parameter or buffer) -> the reason, in words, why it stays."""
    products: tuple[Product, ...] = ()
    """What the network multiplies, in evaluation mode, of one example."""
    unseen: str = ""
    """What the graph does not show, and why."""
