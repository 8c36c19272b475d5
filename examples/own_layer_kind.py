"""A kind of layer: convolutions over signals, ``nn.Conv1d``. Only the repository can add one.

As ``prunetui/engine/layers/convolution_1d.py`` it is one file, and one line in the table ``KINDS`` of that folder. Then
networks with such layers are traced, counted, pruned and saved as all others are: nothing else asks what a layer is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes, Stay


class Convolution1d(LayerKind):
    """Weights [out, in, k], each used at every place of the output."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 0, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 1}

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, nn.Conv1d) and module.groups == 1

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        outputs, inputs = shapes["weight"][:2]
        return {"out_channels": outputs, "in_channels": inputs}

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(made.shape[2:])
