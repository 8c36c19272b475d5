"""Convolutions whose outputs share filters: fewer filters are computed, then repeated by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.groups import Indices, Slice
from prunetui.engine.layers.convolution import Convolution
from prunetui.engine.layers.kind import Side
from prunetui.formats.shared_filters import labels_of, sharing_layers

GIVEN = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
"""What a convolution is made with, but groups and a bias."""


class SharedConv2d(nn.Conv2d):
    """Computes k filters and shows C outputs: output i is that of filter ``labels[i]``.

    One convolution and one ``index_select``. The labels are a buffer: they are saved with the weights, and the
    gradient of a filter is the sum over the outputs that use it.
    """

    labels: Tensor

    def __init__(self, plain: nn.Conv2d, outputs: int) -> None:
        """A layer like ``plain`` that shows this many outputs; weight and labels are left to be loaded."""
        given: dict[str, Any] = {name: getattr(plain, name) for name in GIVEN}
        super().__init__(**given, bias=False, device="meta")  # no weights are drawn
        self.weight = plain.weight
        self.register_buffer("labels", torch.zeros(outputs, dtype=torch.int64, device=plain.weight.device))
        self.train(plain.training)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).index_select(1, self.labels)


class SharedConvolution(Convolution):
    """Weights [k, in, k, k]; its outputs are labels, so that none of them can be removed by itself."""

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, SharedConv2d)

    def slices(self, name: str, module: nn.Module, side: Side, indices: Indices) -> tuple[Slice, ...] | None:
        return None if side == "outputs" else super().slices(name, module, side, indices)


def share_as(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace the convolutions that share filters in ``tensors`` by layers that do; values are left to be loaded.

    Raises:
        ValueError: one is no convolution, or has groups or a bias.
    """
    for name in sorted(sharing_layers(tensors)):
        plain = model.get_submodule(name)
        if not isinstance(plain, nn.Conv2d) or plain.groups != 1 or plain.bias is not None:
            raise ValueError(f"{name} cannot share filters: only plain convolutions without a bias can")
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, SharedConv2d(plain, len(tensors[labels_of(name)])))
