"""What a graph proposes of a network: groups of channels that may go, and what must stay, with its reason."""

from __future__ import annotations

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
class Proposal:
    """Groups of channels that may go together, and what must stay."""

    groups: tuple[Group, ...]
    attributes: tuple[AttributeRule, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    """``name.weight[0]`` (a dimension of a parameter or buffer) -> the reason, in words, why it stays."""
