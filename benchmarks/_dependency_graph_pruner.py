"""The peer: Torch-Pruning's high-level loop, as the ``progressive_pruning`` of its authors' reproduction runs it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._plain_training import Batch, macs
from benchmarks._small_networks import CLASSES

NORM_STEPS = 400
"""Steps to no channels at all, as in the authors' reproduction; the loop ends at the first that meets the target."""
TAYLOR_STEPS = 50
"""Fewer where each step takes gradients anew."""


class LoopError(RuntimeError):
    """The loop came to its end above the target."""


def prune_until(
    network: nn.Module, example: Tensor, criterion: str, everywhere: bool, target: int, seen: Sequence[Batch],
    stays: float = 0.0,
) -> nn.Module:  # fmt: skip
    """Prune in place until at most ``target`` multiply-accumulates are left.

    ``criterion``: norm or taylor; ``everywhere``: all groups compete, else each is thinned by the same ratio. ``seen``:
    the batches that gradients are of; ``stays``: the share of each layer that may not go. The classifier is ignored,
    all else is as the library's defaults have it.

    Raises:
        LoopError: its last step is above the target.
    """
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = NORM_STEPS if criterion == "norm" else TAYLOR_STEPS
        pruner = _pruner(network, example, criterion, everywhere, 1.0, steps, stays)
        while macs(network, example) > target:
            if pruner.current_step == pruner.iterative_steps:
                left = macs(network, example)
                raise LoopError(f"its last step leaves {left:,} multiply-accumulates, above {target:,}")
            if criterion != "norm":
                _accumulate(network, seen)
            pruner.step()
    network.zero_grad()
    return network


def prune_at_once(network: nn.Module, example: Tensor, target: int) -> nn.Module:
    """A copy pruned by norms, all groups competing, in one step of the smallest percentage that meets the target.

    Raises:
        LoopError: none does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for percent in range(1, 100):
            small = deepcopy(network).eval()
            _pruner(small, example, "norm", True, percent / 100, 1, 0.0).step()
            if macs(small, example) <= target:
                return small
    raise LoopError(f"no ratio leaves at most {target:,} multiply-accumulates")


def _pruner(
    network: nn.Module, example: Tensor, criterion: str, everywhere: bool, ratio: float, steps: int, stays: float
) -> Any:
    import torch_pruning as tp

    norm = criterion == "norm"
    importance = tp.importance.GroupMagnitudeImportance(p=2) if norm else tp.importance.GroupTaylorImportance()
    outputs = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == CLASSES]
    return tp.pruner.BasePruner(
        network, example, importance, global_pruning=everywhere, pruning_ratio=ratio, iterative_steps=steps,
        ignored_layers=outputs, round_to=None, max_pruning_ratio=1 - stays,
        in_channel_groups={}, out_channel_groups={}, num_heads={},  # its defaults are shared by all pruners
    )  # fmt: skip


def _accumulate(network: nn.Module, seen: Sequence[Batch]) -> None:
    network.zero_grad()
    for inputs, labels in seen:
        (F.cross_entropy(network(inputs), labels) / len(seen)).backward()  # type: ignore[no-untyped-call]
