"""What the engine must know of one kind of layer: how it is resized, what it costs, where its channels lie."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from prunetui.api.groups import Indices, Role, Slice

Shapes = Mapping[str, tuple[int, ...]]
"""Of a layer's tensors, by the names that they have in the layer."""
Stay = Mapping[str, Mapping[int, Tensor]]
"""Of a layer's tensors: what is kept of a dimension that loses something, bool [its size before]."""
Side = Literal["outputs", "inputs"]


class DoesNotFit(ValueError):
    """Channels that cannot be removed from this network, in words."""


class LayerKind(ABC):
    """One kind of layer. A file of this folder says all there is to say of it; ``layers.KINDS`` is the table."""

    prunable: ClassVar[bool] = True
    """Whether ``weight`` connects single inputs with single outputs: what masks zero and a sparsity counts."""
    role: ClassVar[Role] = "makes"
    """What the layer does with the channels that it puts out."""
    outputs: ClassVar[Mapping[str, int]] = {"weight": 0, "bias": 0}
    """The layer's own tensors -> the dimension on which the channels lie that it puts out."""
    inputs: ClassVar[Mapping[str, int]] = {"weight": 1}
    """The same of the channels that it reads."""

    @abstractmethod
    def fits(self, module: nn.Module) -> bool:
        """Whether a module is a layer of this kind."""

    @abstractmethod
    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        """What the module notes of its widths when its tensors have these shapes, by attribute.

        ``shapes`` are those of all of its own tensors; where only these are known ``stay`` is empty.

        Raises:
            DoesNotFit: what is left is no layer of this kind.
        """

    @abstractmethod
    def places(self, read: Tensor, made: Tensor) -> int:
        """How often one example uses each weight, by what the layer reads and makes of a batch of one.

        Its first dimension may be larger: windows of an image, or steps of a sequence, that are computed alike.
        """

    def macs(self, shapes: Shapes, places: int) -> int:
        """Multiply-accumulates of one example."""
        return math.prod(shapes["weight"]) * places

    def slices(self, name: str, module: nn.Module, side: Side, indices: Indices) -> tuple[Slice, ...] | None:
        """Where channels lie in the layer, if ``indices`` are theirs among its outputs or inputs.

        None where they cannot be removed from it.
        """
        role: Role = self.role if side == "outputs" else "reads"
        dimensions = self.outputs if side == "outputs" else self.inputs
        return tuple(
            Slice(f"{name}.{own}", dimension, indices, role)
            for own, dimension in dimensions.items()
            if isinstance(getattr(module, own, None), Tensor)
        )

    def width(self, module: nn.Module, side: Side) -> int:
        """How many channels the layer puts out, or reads."""
        own, dimension = next(iter((self.outputs if side == "outputs" else self.inputs).items()))
        return int(module.get_parameter(own).shape[dimension])

    def matrix_product(self, module: nn.Module) -> nn.Module | None:
        """The same layer as a product with one matrix [out, in], its ``weight``; None where it is none."""
        return None


@dataclass(frozen=True)
class Layer:
    """A layer of a network, to be counted: its kind, the shapes of its parameters, and how often they are used."""

    kind: LayerKind
    shapes: Shapes
    places: int
    elsewhere: frozenset[str] = frozenset()
    """Its own tensors that are another layer's, too, and count for that one."""
    called: bool = True
    """Whether it is computed in evaluation: auxiliary heads are only in training, and others not by themselves."""

    @property
    def prunable(self) -> bool:
        """Whether its weights count for a sparsity."""
        return self.kind.prunable and self.called and "weight" not in self.elsewhere

    def cost(self, what: str, shapes: Shapes | None = None, places: int | None = None) -> int:
        """Prunable weights (``sparsity``), ``params`` or ``macs``, of the layer as it is or with these ``shapes``.

        ``places`` says how often its weights are used, where that is another number than in the dense network.
        """
        shapes = self.shapes if shapes is None else shapes
        if what == "params":
            return sum(math.prod(shape) for own, shape in shapes.items() if own not in self.elsewhere)
        if what == "macs":
            return self.kind.macs(shapes, self.places if places is None else places)
        if what == "sparsity":
            return math.prod(shapes["weight"]) if self.prunable else 0
        raise ValueError(f"a layer has no cost called {what}: there are sparsity, params and macs")
