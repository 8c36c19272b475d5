"""A kind of layer: convolutions over signals, ``nn.Conv1d``. Only the repository can add one.

As ``prunetui/engine/layers/convolution_1d.py`` it is one file, and one line in the table ``KINDS`` of that folder. Then
networks with such layers are traced, counted, pruned and saved as all others are: nothing else asks what a layer is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes


class Convolution1d(LayerKind):
    """Weights [out, in, k], each used at every place of the output."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 0, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 1}

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, nn.Conv1d) and module.groups == 1

    def resize(self, module: nn.Module, shapes: Shapes) -> None:
        assert isinstance(module, nn.Conv1d)
        module.out_channels, module.in_channels = shapes["weight"][:2]

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(made.shape[2:])
