"""Norms of single channels over a batch or an image: they scale and shift channels that others make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunetui.api.groups import Role
from prunetui.engine.layers.kind import LayerKind, Shapes, Stay


class BatchNorm(LayerKind):
    """Scale, shift and running statistics, one number a channel; their arithmetic is not counted."""

    prunable = False
    role: ClassVar[Role] = "scales"
    outputs: ClassVar[Mapping[str, int]] = {"weight": 0, "bias": 0, "running_mean": 0, "running_var": 0}
    inputs: ClassVar[Mapping[str, int]] = outputs

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, _NormBase)

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        own = next((own for own in ("weight", "running_mean") if own in shapes), None)
        return {} if own is None else {"num_features": shapes[own][0]}

    def places(self, read: Tensor, made: Tensor) -> int:
        return 0

    def macs(self, shapes: Shapes, places: int) -> int:
        return 0

    def width(self, module: nn.Module, side: str) -> int:
        assert isinstance(module, _NormBase)
        return module.num_features
