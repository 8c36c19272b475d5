"""Weights of a checkpoint that are exactly zero: pruned before it came here, when there are more than by chance."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

CHANCE, FEW = 0.001, 3
"""Zeros of a layer that say nothing: this share, or this few. Training makes none; rounding to half precision makes
one of some hundred thousand weights zero, or more in layers that hardly learned."""


def zero_masks(tensors: Mapping[str, Tensor], layers: list[str], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks by layer that keep zeros zero; none where there are no more than by chance.

    One layer with more than that is enough to take every zero of the net for pruned. ``stored`` are masks that the file
    brought with it, by the name of the weight: they hold whatever their number.
    """
    keep = {name: tensors[f"{name}.weight"] != 0 for name in layers}
    zeros = {name: int((~mask).sum()) for name, mask in keep.items()}
    if not stored and not any(zeros[name] > max(FEW, CHANCE * keep[name].numel()) for name in layers):
        return {}
    for name in layers:
        held = stored.get(f"{name}.weight")
        if held is not None:
            keep[name] &= held.to(torch.bool)
    return {name: mask for name, mask in keep.items() if not bool(mask.all())}


def told_zeros(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor], layers: list[str]) -> str:
    """One line about zeros that stay; empty without any."""
    if not masks:
        return ""
    gone = sum(int((~mask).sum()) for mask in masks.values())
    weights = sum(tensors[f"{name}.weight"].numel() for name in layers)
    return (
        f"{gone:,} of {weights:,} weights of the checkpoint are zero ({gone / weights:.2%}): they count as pruned and "
        "stay zero, except where a method exchanges weights as it trains, as dynamic schedules do "
        "(--set model.keep_zeros=false lets all of them grow)"
    )
