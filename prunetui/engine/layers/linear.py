"""Linear layers."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes, Stay


class Linear(LayerKind):
    """Weights [out, in], each used once for every row that the layer reads."""

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, nn.Linear)

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        outputs, inputs = shapes["weight"]
        return {"out_features": outputs, "in_features": inputs}

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(made.shape[:-1])

    def matrix_product(self, module: nn.Module) -> nn.Module | None:
        return module if type(module) is nn.Linear else None
