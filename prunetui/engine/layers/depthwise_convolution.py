"""Convolutions in which each output reads the one input of the same number."""

from __future__ import annotations

from typing import Any

from torch import nn

from prunetui.engine.layers.convolution import Convolution, is_convolution
from prunetui.engine.layers.kind import Shapes, Stay


class DepthwiseConvolution(Convolution):
    """Weights [channels, 1, k, k]: a channel that goes, goes as input and as output."""

    inputs = Convolution.outputs

    def fits(self, module: nn.Module) -> bool:
        return is_convolution(module) and 1 < module.groups == module.in_channels == module.out_channels

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        return dict.fromkeys(("groups", "in_channels", "out_channels"), shapes["weight"][0])

    def matrix_product(self, module: nn.Module) -> nn.Module | None:
        return None
