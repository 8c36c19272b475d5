"""Convolutions whose inputs and outputs are divided into groups that do not see each other."""

from __future__ import annotations

from collections import Counter

from torch import nn
from torch.nn.modules.conv import _ConvNd

from prunetui.api.groups import Indices, Slice
from prunetui.engine.layers.convolution import Convolution, is_convolution
from prunetui.engine.layers.kind import Shapes, Side


class GroupedConvolution(Convolution):
    """Weights [out, in / groups, k, k]. The number of groups stays, so every group must lose equally many channels."""

    def fits(self, module: nn.Module) -> bool:
        return is_convolution(module) and module.groups > 1

    def resize(self, module: nn.Module, shapes: Shapes) -> None:
        assert isinstance(module, _ConvNd)
        module.out_channels = shapes["weight"][0]
        module.in_channels = shapes["weight"][1] * module.groups

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
