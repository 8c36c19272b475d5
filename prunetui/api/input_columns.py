"""Convolutions as the linear layers of their unfolded inputs: weights as rows, what they read as columns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

IMAGES = 16
"""Images unfolded together: their patches then fit the processor's cache."""


def can_unfold(layer: nn.Module) -> bool:
    """Whether ``input_columns`` knows what this convolution or linear layer reads: of one or two dimensions it does."""
    return not isinstance(layer, _ConvNd) or isinstance(layer, (nn.Conv1d, nn.Conv2d))


def weight_rows(layer: nn.Module, weight: Tensor) -> Tensor:
    """The weights of each output in float32, [groups, outputs of a group, in * k * k]; most layers have one group.

    ``weight`` has the outputs on its first dimension, as ``net.by_output`` gives it.
    """
    return weight.float().reshape(int(getattr(layer, "groups", 1)), -1, weight[0].numel())


def input_columns(layer: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """What each output reads, a column an image and place: [groups, in * k * k, columns], a few images at a time."""
    for part in torch.split(inputs.float(), IMAGES):
        yield _patches(layer, part) if isinstance(layer, (nn.Conv1d, nn.Conv2d)) else part.flatten(0, -2).T[None]


def _patches(layer: nn.Conv1d | nn.Conv2d, images: Tensor) -> Tensor:
    """What a convolution reads, a column for every place; signals are images of height 1."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(images, layer._reversed_padding_repeated_twice, mode)
    flat = isinstance(layer, nn.Conv1d)
    kernel, dilation, stride = (((1, *v) if flat else v) for v in (layer.kernel_size, layer.dilation, layer.stride))
    found = F.unfold(padded[:, :, None] if flat else padded, kernel, dilation, 0, stride)
    return found.view(len(found), layer.groups, -1, found.shape[2]).permute(1, 2, 0, 3).flatten(2)
