"""What stands beside what: a method of ours, and what Torch-Pruning has of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

import prunetui
from benchmarks._dependency_graph_pruner import prune_at_once, prune_until
from benchmarks._plain_training import Batch, macs


@dataclass(frozen=True)
class Pair:
    """A method of ours and the peer's loop."""

    title: str
    method: str
    options: Mapping[str, Any]
    criterion: str
    everywhere: bool
    at_once: bool = False
    """Whether the peer takes a single step of the ratio that meets the target, in place of its loop."""
    stays: float = 0.0
    """The share of each layer's channels that neither may remove."""

    @property
    def about(self) -> str:
        """What each side is, in its own words."""
        importance = {"norm": "GroupMagnitudeImportance(p=2)", "taylor": "GroupTaylorImportance()"}[self.criterion]
        theirs = [f"`{importance}`", f"`global_pruning={self.everywhere}`"]
        ours = [f"`{self.method}`", *(f'`{name} = "{value}"`' for name, value in self.options.items())]
        theirs += ["`iterative_steps=1`"] * self.at_once
        if self.stays:
            theirs, ours = [*theirs, f"`max_pruning_ratio={1 - self.stays:g}`"], [*ours, f"`floor={self.stays:g}`"]
        return f"Theirs: {', '.join(theirs)}. Ours: {', '.join(ours)}."

    def by_peer(self, network: nn.Module, example: Tensor, target: int, seen: Sequence[Batch]) -> nn.Module:
        """A copy with at most ``target`` multiply-accumulates."""
        if self.at_once:
            return prune_at_once(network, example, target)
        return prune_until(deepcopy(network), example, self.criterion, self.everywhere, target, seen, self.stays)

    def by_us(self, network: nn.Module, example: Tensor, left: int, seen: Sequence[Batch], seed: int) -> nn.Module:
        """A copy with so many multiply-accumulates."""
        small, _ = prunetui.prune(
            network, seen, method=self.method, target="macs", amount=1 - left / macs(network, example),
            options=dict(self.options), round_to=1, floor=self.stays, seed=seed, progress=False,
        )  # fmt: skip
        return small


PAIRS = (
    Pair("norm, equal ratios", "group-norm", {}, "norm", False),
    Pair("norm, global", "group-norm", {"scope": "global"}, "norm", True),
    Pair("norm, global, at once", "group-norm", {"scope": "global"}, "norm", True, at_once=True),
    Pair("Taylor, global", "taylor-structured", {}, "taylor", True),
    Pair("Taylor, global, a tenth stays", "taylor-structured", {}, "taylor", True, stays=0.1),
)
UNTRAINED = PAIRS[0]
"""What the peer is tried with before a network is trained; it needs no images."""
