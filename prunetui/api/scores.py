"""Scores of weights and channels: what a method ranks by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from prunetui.api.budget import Costs
from prunetui.api.net import Group, Net


class Channeled(Protocol):
    """A network whose channels may go: ``Net`` and ``Training``."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def costs(self) -> Costs: ...
    @property
    def target(self) -> str: ...
    @property
    def floor(self) -> float: ...
    def groups(self) -> Sequence[Group]: ...


def per_channel(net: Channeled, values: Mapping[str, Tensor], consumers: bool = False) -> dict[str, Tensor]:
    """Values of single weights, by layer, summed over each channel of each group.

    A channel owns the rows of its producers and, with ``consumers``, the columns of its consumers too.
    """
    scores = {}
    for group in net.groups():
        parts = [values[layer].flatten(1).sum(1) for layer in group.producers]
        if consumers:
            parts += [values[layer].transpose(0, 1).flatten(1).sum(1) for layer in group.consumers]
        scores[group.name] = torch.stack(parts).sum(0)
    return scores


def zero_scores(net: Channeled) -> dict[str, Tensor]:
    """A float32 zero for each channel of each group, to add to."""
    device = next(net.model.parameters()).device
    return {group.name: torch.zeros(group.width, device=device) for group in net.groups()}


def feature_maps(net: Net) -> Iterator[dict[str, Tensor]]:
    """The maps [B, width, H, W] that each group's first consumer reads, one batch after the other."""
    for seen in net.inputs():
        yield {group.name: _as_maps(seen[group.consumers[0]]) for group in net.groups()}


def _as_maps(features: Tensor) -> Tensor:
    return features if features.dim() == 4 else features[:, :, None, None]
