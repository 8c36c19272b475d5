"""Scores of weights and channels: what a method ranks by."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from prunetui.api.constraints import Constrained
from prunetui.api.groups import Group, Role, Slice
from prunetui.api.net import Net
from prunetui.errors import UnrankedError


def weights_of(group: Group, layers: Container[str], *roles: Role) -> list[Slice]:
    """The slices of a group's weights with these roles, in ``layers``: convolutions and linear layers.

    Raises:
        UnrankedError: there are none, as where an embedding alone makes the channels.
    """
    found = [part for part in group.weights(*roles) if part.layer in layers]
    if not found:
        raise cannot_rank(group, f"no convolution and no linear layer {' or '.join(roles)}")
    return found


def cannot_rank(group: Group, why: str) -> UnrankedError:
    """The error of a method that cannot score a group: what does nothing with its channels. Other groups may go."""
    layers = ", ".join(layer or group.name for layer in group.producers)
    return UnrankedError(group.name, why, layers)


def per_channel(net: Constrained, values: Mapping[str, Tensor], consumers: bool = False) -> dict[str, Tensor]:
    """Values of single weights, by layer, summed over each channel of each group.

    A channel owns the weights that make it and, with ``consumers``, those that read it too: of convolutions and linear
    layers, not of embeddings or parameters outside layers.

    Raises:
        UnrankedError: a group has no such weights.
    """
    roles: tuple[Role, ...] = ("makes", "reads") if consumers else ("makes",)
    return {
        group.name: torch.stack([part.sums(values[part.layer]) for part in weights_of(group, values, *roles)]).sum(0)
        for group in net.groups()
    }


def group_squares(net: Constrained) -> dict[str, Tensor]:
    """The squared L2 norm of each channel, by group [width]: the mean over the tensors in which it has weights.

    These are the weights that make the channel, those that read it, and the scales of its norms, as Torch-Pruning
    counts (Fang et al. 2023, DepGraph, arXiv:2301.12900).

    Raises:
        UnrankedError: a group has no such weights, as where recurrent layers alone make and read it.
    """
    found = {}
    for group in net.groups():
        weights = list(group.weights("makes", "scales", "reads"))
        if not weights:
            raise cannot_rank(group, "no layer with a weight makes, scales or reads")
        squares = [part.sums(net.model.get_parameter(part.tensor).detach().float().square()) for part in weights]
        found[group.name] = torch.stack(squares).mean(0)
    return found


def filters_of(part: Slice, weight: Tensor) -> Tensor:
    """All weights that a layer has of each channel: [width, weights a channel]."""
    along = weight.movedim(part.dimension, 0)
    along = along.reshape(len(along), -1)
    return along if part.in_order and len(along) == len(part.indices) else along[part.index.to(along.device)].flatten(1)


def zero_scores(net: Constrained) -> dict[str, Tensor]:
    """A float32 zero for each channel of each group, to add to."""
    device = next(net.model.parameters()).device
    return {group.name: torch.zeros(group.width, device=device) for group in net.groups()}


def feature_maps(net: Net) -> Iterator[dict[str, Tensor]]:
    """The maps [B, width, H, W] that each group's first consumer reads, batch after batch; see ``channel_maps``.

    Raises:
        UnrankedError: no convolution and no linear layer reads a group.
    """
    layers = net.layers()
    for seen in net.inputs():
        first = {group.name: weights_of(group, seen, "reads")[0] for group in net.groups()}
        yield {name: channel_maps(part, seen[part.layer], layers[part.layer]) for name, part in first.items()}


def channel_maps(part: Slice, read: Tensor, layer: nn.Module | None = None) -> Tensor:
    """What the layer of ``part`` reads of a group's channels, [B, width, H, W], of all that it reads.

    A linear layer has its channels last: of tokens [B, T, C] each channel's map is a column of T values, of a
    flattened map what was flattened comes back as a column.
    """
    maps = read if layer is None or isinstance(layer, _ConvNd) else read.movedim(-1, 1)
    maps = maps.flatten(3) if maps.dim() > 4 else maps.reshape(*maps.shape, *[1] * (4 - maps.dim()))
    if part.in_order and maps.shape[1] == len(part.indices):
        return maps
    return maps[:, part.index.to(maps.device)].flatten(2, 3)
