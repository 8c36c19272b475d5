"""The peer: Torch-Pruning's high-level loop, as the ``progressive_pruning`` of its authors' reproduction runs it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

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
    import torch_pruning as tp

    norm = criterion == "norm"
    importance = tp.importance.GroupMagnitudeImportance(p=2) if norm else tp.importance.GroupTaylorImportance()
    outputs = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == CLASSES]
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = tp.pruner.BasePruner(
            network, example, importance, global_pruning=everywhere, pruning_ratio=1.0,
            iterative_steps=NORM_STEPS if norm else TAYLOR_STEPS, ignored_layers=outputs, round_to=None,
            max_pruning_ratio=1 - stays,
            in_channel_groups={}, out_channel_groups={}, num_heads={},  # its defaults are shared by all pruners
        )  # fmt: skip
        while macs(network, example) > target:
            if pruner.current_step == pruner.iterative_steps:
                raise LoopError(
                    f"its last step leaves {macs(network, example):,} multiply-accumulates, above {target:,}"
                )
            if not norm:
                _accumulate(network, seen)
            pruner.step()
    network.zero_grad()
    return network


def _accumulate(network: nn.Module, seen: Sequence[Batch]) -> None:
    network.zero_grad()
    for inputs, labels in seen:
        (F.cross_entropy(network(inputs), labels) / len(seen)).backward()  # type: ignore[no-untyped-call]
