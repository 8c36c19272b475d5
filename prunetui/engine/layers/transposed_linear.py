"""Linear layers that keep their weights the other way round: ``Conv1D`` of transformers, as in GPT-2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes


class TransposedLinear(LayerKind):
    """Weights [in, out], each used once for every row that the layer reads."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 1, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 0}

    def fits(self, module: nn.Module) -> bool:
        weight = getattr(module, "weight", None)  # by its name, since transformers may not be installed
        return type(module).__name__ == "Conv1D" and isinstance(weight, Tensor) and weight.dim() == 2

    def resize(self, module: nn.Module, shapes: Shapes) -> None:
        layer: Any = module
        layer.nx, layer.nf = shapes["weight"]

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(made.shape[:-1])
