"""Linear layers that keep their weights the other way round: ``Conv1D`` of transformers, as in GPT-2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes, Stay


class TransposedLinear(LayerKind):
    """Weights [in, out], each used once for every row that the layer reads."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 1, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 0}

    def fits(self, module: nn.Module) -> bool:
        weight = getattr(module, "weight", None)  # by its name, since transformers may not be installed
        return type(module).__name__ == "Conv1D" and isinstance(weight, Tensor) and weight.dim() == 2

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        inputs, outputs = shapes["weight"]
        return {own: size for own, size in (("nx", inputs), ("nf", outputs)) if hasattr(module, own)}

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(made.shape[:-1])
