"""A convolution whose outputs share filters: fewer filters are computed, then repeated by label."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SharedConv2d(nn.Conv2d):
    """Computes k filters and shows C outputs: output i is that of filter ``labels[i]``.

    One convolution and one ``index_select``. The labels are a buffer: they are saved with the weights, and the
    gradient of a filter is the sum over the outputs that use it.
    """

    labels: Tensor

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).index_select(1, self.labels)


def share(model: nn.Module, name: str, outputs: int) -> None:
    """Replace the convolution ``name`` by one that shares filters among ``outputs``; values are left to be loaded.

    Raises:
        ValueError: it is no convolution, or one with groups or a bias.
    """
    parent = model.get_submodule(name.rpartition(".")[0])
    old = model.get_submodule(name)
    if not isinstance(old, nn.Conv2d) or old.groups != 1 or old.bias is not None:
        raise ValueError(f"{name} cannot share filters: only plain convolutions without a bias can")
    new = SharedConv2d.__new__(SharedConv2d)
    nn.Module.__init__(new)
    new.__dict__.update({key: value for key, value in old.__dict__.items() if not key.startswith("_")})
    new.padding, new._reversed_padding_repeated_twice = old.padding, old._reversed_padding_repeated_twice
    new.weight, new.bias = old.weight, None
    new.register_buffer("labels", torch.zeros(outputs, dtype=torch.int64, device=old.weight.device))
    setattr(parent, name.rpartition(".")[2], new)
