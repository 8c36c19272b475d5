"""The kinds of layers that can be pruned and counted: one file each, and this table."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from prunetui.api.groups import full_name
from prunetui.engine.layers.batch_norm import BatchNorm
from prunetui.engine.layers.convolution import Convolution
from prunetui.engine.layers.depthwise_convolution import DepthwiseConvolution
from prunetui.engine.layers.grouped_convolution import GroupedConvolution
from prunetui.engine.layers.kind import Layer, LayerKind, Side
from prunetui.engine.layers.linear import Linear
from prunetui.engine.layers.other_layer import OtherLayer
from prunetui.engine.layers.shared_convolution import SharedConvolution, share_as
from prunetui.engine.layers.transposed_convolution import TransposedConvolution

__all__ = ["KINDS", "OTHER", "Layer", "LayerKind", "Side", "kind_of", "prunable_layers", "resize"]

KINDS: list[LayerKind] = [
    SharedConvolution(),
    DepthwiseConvolution(),
    GroupedConvolution(),
    Convolution(),
    TransposedConvolution(),
    Linear(),
    BatchNorm(),
]
"""Every kind; a module is of the first that fits it."""
OTHER = OtherLayer()
"""That of all other modules with parameters of their own."""


def kind_of(module: nn.Module) -> LayerKind | None:
    """What kind of layer a module is; None for what has no channels of its own, and for what is not known."""
    return next((kind for kind in KINDS if kind.fits(module)), None)


def prunable_layers(model: nn.Module) -> list[str]:
    """The layers whose single weights may be pruned, in the order they were made."""
    kinds = {name: kind_of(module) for name, module in model.named_modules()}
    return [name for name, kind in kinds.items() if kind and kind.prunable]


def resize(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give every layer the widths that its tensors have; the values are left to be loaded."""
    share_as(model, tensors)
    for name, module in model.named_modules():
        kind = kind_of(module) or OTHER
        own = dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])
        shapes = {key: tuple(tensors[full].shape) for key in own if (full := full_name(name, key)) in tensors}
        if not _same_dimensions(kind, own, shapes):
            continue  # loading says what does not fit
        kind.resize(module, shapes)
        for key, tensor in own.items():
            if shapes.get(key, tensor.shape) != tensor.shape:
                fresh = tensor.new_zeros(shapes[key])
                is_parameter = isinstance(tensor, nn.Parameter)
                setattr(module, key, nn.Parameter(fresh, tensor.requires_grad) if is_parameter else fresh)


def _same_dimensions(kind: LayerKind, own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    needed = [key for key in (kind.outputs if kind is not OTHER else shapes) if key in own]
    return bool(needed) and all(key in shapes and len(shapes[key]) == own[key].dim() for key in needed)
