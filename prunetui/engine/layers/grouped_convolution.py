"""Convolutions whose inputs and outputs are divided into groups that do not see each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from prunetui.api.groups import Indices, Slice
from prunetui.engine.layers.convolution import Convolution, blocks_left, is_convolution
from prunetui.engine.layers.kind import Shapes, Side, Stay


class GroupedConvolution(Convolution):
    """Weights [out, in / groups, k, k]. Every group loses equally many channels, or some go whole."""

    def fits(self, module: nn.Module) -> bool:
        return is_convolution(module) and module.groups > 1

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        assert isinstance(module, _ConvNd)
        rows = stay.get("weight", {}).get(0)
        groups = blocks_left(module.groups, rows, f"a convolution of {module.groups} groups")
        return {"out_channels": shapes["weight"][0], "in_channels": shapes["weight"][1] * groups, "groups": groups}

    def width(self, module: nn.Module, side: Side) -> int:
        assert isinstance(module, _ConvNd)
        return module.out_channels if side == "outputs" else module.in_channels

    def slices(self, name: str, module: nn.Module, side: Side, indices: Indices) -> tuple[Slice, ...] | None:
        """None unless each unit of ``indices`` has as many channels of every group, as inputs the same of each."""
        assert isinstance(module, _ConvNd)
        size = self.width(module, side) // module.groups
        if side == "outputs":
            per_group = [Counter(index // size for index in unit) for unit in indices]
            even = all(len(found) == module.groups and len(set(found.values())) == 1 for found in per_group)
            return super().slices(name, module, side, indices) if even else None
        columns = [Counter(index % size for index in unit) for unit in indices]
        if any(set(found.values()) != {module.groups} for found in columns):
            return None
        return super().slices(name, module, side, tuple(tuple(sorted(found)) for found in columns))

    def matrix_product(self, module: nn.Module) -> nn.Module | None:
        return None
