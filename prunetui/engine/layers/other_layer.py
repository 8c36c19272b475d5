"""Layers of kinds that have no file here: their parameters are counted, and shrink with the channels they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from prunetui.engine.layers.kind import LayerKind, Shapes, Stay
from prunetui.engine.layers.noted_widths import noted_widths


class OtherLayer(LayerKind):
    """Parameters of any shape, of a module of any kind, whose single weights are not pruned and not multiplied."""

    prunable = False
    outputs: ClassVar[Mapping[str, int]] = {}
    inputs: ClassVar[Mapping[str, int]] = {}

    def fits(self, module: nn.Module) -> bool:
        return any(True for _ in module.parameters(recurse=False))

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        return noted_widths(module, shapes, stay)

    def places(self, read: Tensor, made: Tensor) -> int:
        return 0

    def macs(self, shapes: Shapes, places: int) -> int:
        return 0
