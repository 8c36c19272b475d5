"""What a method returns: an edit of the net, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from prunetui.api.net import Keep


@dataclass(frozen=True)
class Masks:
    """An edit: weights of layers set to zero and held there; shapes stay."""

    keep: Keep
    """Layer name -> bool tensor of its weight's shape."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values, for methods that make up for what they remove; the masks hold on them."""


@dataclass(frozen=True)
class Channels:
    """An edit: channels physically removed, from every layer coupled to them."""

    keep: Keep
    """Group name -> bool tensor of the group's width."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values, shaped as after the removal; without any, removal is checked to be exact."""


@dataclass(frozen=True)
class Shared:
    """A convolution whose outputs share filters: output i is that of filter ``labels[i]``."""

    weight: Tensor
    """The filters that are kept, [k, in, kh, kw]."""
    labels: Tensor
    """Which filter each of the C outputs uses: int64 [C], every one in [0, k)."""


@dataclass(frozen=True)
class Modules:
    """An edit: layers replaced by layers that share filters; what other layers see keeps its shape."""

    shared: Mapping[str, Shared]
    """Layer name -> its filters."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values of other tensors, such as batch-norm statistics."""
