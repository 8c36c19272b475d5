"""All tensors in what a network gives, whatever it is, and how far two outputs are apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

DEEPEST = 6
"""Objects in objects that are searched for tensors."""
CACHES = "transformers.cache_utils"
"""The module of what language models keep of keys and values for their next call: as narrow as the network is."""


def output_tensors(value: Any) -> list[Tensor]:
    """The tensors in tuples, lists, mappings, dataclasses and other plain objects, in their order.

    What a network keeps for its own next call is not among them.
    """
    return list(_tensors(value, DEEPEST))


def _tensors(value: Any, depth: int) -> Iterator[Tensor]:
    for leaf in tree_leaves(value, is_leaf=_is_cache):
        if _is_cache(leaf):
            continue
        if isinstance(leaf, Tensor):
            yield leaf
        elif depth and dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            for part in dataclasses.fields(leaf):
                yield from _tensors(getattr(leaf, part.name, None), depth - 1)
        elif depth and hasattr(leaf, "__dict__") and not callable(leaf):
            for part in vars(leaf).values():
                yield from _tensors(part, depth - 1)


def _is_cache(value: Any) -> bool:
    return any(kind.__module__ == CACHES for kind in type(value).__mro__)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two outputs differ: the largest difference relative to the largest magnitude of that tensor, or in words."""

    relative: float
    words: str = ""


def difference(left: Sequence[Tensor], right: Sequence[Tensor]) -> Difference:
    """How far outputs ``left`` are from ``right``; infinitely where they are not of one shape."""
    if len(left) != len(right):
        return Difference(math.inf, f"{len(left)} tensors come out instead of {len(right)}")
    worst = 0.0
    for ours, theirs in zip(left, right, strict=True):
        if ours.shape != theirs.shape:
            return Difference(math.inf, f"an output changes its shape from {list(theirs.shape)} to {list(ours.shape)}")
        worst = max(worst, _relative(ours.detach(), theirs.detach()))
    return Difference(worst)


def _relative(ours: Tensor, theirs: Tensor) -> float:
    if not theirs.numel():
        return 0.0
    if not (theirs.is_floating_point() or theirs.is_complex()):
        return 0.0 if torch.equal(ours, theirs) else math.inf
    finite = theirs.isfinite()
    if not torch.equal(finite, ours.isfinite()) or not bool(finite.any()):
        return math.inf
    gap = (ours[finite] - theirs[finite]).abs().max()
    return float(gap / theirs[finite].abs().max().clamp_min(1e-30)) if bool(gap > 0) else 0.0
