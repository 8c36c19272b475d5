"""Transposed convolutions: their weights are [in, out, *kernel]."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from prunetui.engine.layers.convolution import blocks_left
from prunetui.engine.layers.kind import LayerKind, Shapes, Stay


class TransposedConvolution(LayerKind):
    """Each weight is used at every place of the input; a border that padding cuts off is counted, as it is computed."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 1, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 0}

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, _ConvTransposeNd)

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        assert isinstance(module, _ConvTransposeNd)
        rows = stay.get("weight", {}).get(0)
        groups = blocks_left(module.groups, rows, f"a convolution of {module.groups} groups")
        return {"in_channels": shapes["weight"][0], "out_channels": shapes["weight"][1] * groups, "groups": groups}

    def places(self, read: Tensor, made: Tensor) -> int:
        return len(read) * math.prod(read.shape[2:])
