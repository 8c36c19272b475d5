"""The kinds of layers that can be pruned and counted: one file each, and this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from prunetui.api.groups import full_name
from prunetui.engine.layers.batch_norm import BatchNorm
from prunetui.engine.layers.convolution import Convolution
from prunetui.engine.layers.depthwise_convolution import DepthwiseConvolution
from prunetui.engine.layers.grouped_convolution import GroupedConvolution
from prunetui.engine.layers.kind import DoesNotFit, Layer, LayerKind, Side, Stay
from prunetui.engine.layers.linear import Linear
from prunetui.engine.layers.other_layer import OtherLayer
from prunetui.engine.layers.shared_convolution import SharedConvolution, share_as
from prunetui.engine.layers.transposed_convolution import TransposedConvolution
from prunetui.engine.layers.transposed_linear import TransposedLinear
from prunetui.engine.tied_tensors import tie, ties_in, ties_of, under_all_names

__all__ = [
    "KINDS", "OTHER", "DoesNotFit", "Layer", "LayerKind", "Side", "counted_names", "following_attributes", "kind_of",
    "prunable_layers", "resize",
]  # fmt: skip

KINDS: list[LayerKind] = [
    SharedConvolution(),
    DepthwiseConvolution(),
    GroupedConvolution(),
    Convolution(),
    TransposedConvolution(),
    Linear(),
    TransposedLinear(),
    BatchNorm(),
]
"""Every kind; a module is of the first that fits it."""
OTHER = OtherLayer()
"""That of all other modules with parameters of their own."""


def kind_of(module: nn.Module) -> LayerKind | None:
    """What kind of layer a module is; None for what has no channels of its own, and for what is not known."""
    return next((kind for kind in KINDS if kind.fits(module)), None)


def prunable_layers(model: nn.Module) -> list[str]:
    """The layers whose single weights may be pruned, in the order they were made; of those that share them, one."""
    counted = counted_names(model)
    kinds = {name: kind_of(module) for name, module in model.named_modules()}
    return [name for name, kind in kinds.items() if kind and kind.prunable and full_name(name, "weight") in counted]


def counted_names(model: nn.Module) -> dict[str, Tensor]:
    """The parameters, each under the one of its names that it counts for.

    Of several names that is the one in the first layer whose single weights may be pruned, otherwise the first.
    """
    every = dict(model.named_parameters(remove_duplicate=False))
    modules = dict(model.named_modules())

    def is_pruned(name: str) -> bool:
        layer = name.rpartition(".")[0]
        kind = kind_of(modules[layer]) if layer in modules else None
        return kind is not None and kind.prunable

    ties = ties_of(every)
    chosen = {names: next(filter(is_pruned, names), names[0]) for names in set(ties.values())}
    return {name: t for name, t in every.items() if name not in ties or chosen[ties[name]] == name}


def following_attributes(module: nn.Module, stay: Stay) -> dict[str, Any]:
    """The new values of what a module notes of its widths when this is kept of its tensors; none of a kind not known.

    Raises:
        DoesNotFit: what is left is no such module, as a convolution with groups of unequal sizes.
    """
    own = dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    for name, dimensions in stay.items():
        sizes = [int(dimensions[d].sum()) if d in dimensions else size for d, size in enumerate(shapes[name])]
        shapes[name] = tuple(sizes)
    return (kind_of(module) or OTHER).attributes(module, shapes, stay)


def resize(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give every layer the widths that its tensors have; the values are left to be loaded."""
    ties = ties_in(model)
    tensors = under_all_names(tensors, ties)
    share_as(model, tensors)
    for name, module in model.named_modules():
        kind = kind_of(module) or OTHER
        own = dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])
        shapes = {key: tuple(tensors[full].shape) for key in own if (full := full_name(name, key)) in tensors}
        if not _same_dimensions(kind, own, shapes):
            continue  # loading says what does not fit
        for attribute, value in kind.attributes(module, shapes, {}).items():
            setattr(module, attribute, value)
        for key, tensor in own.items():
            if shapes.get(key, tensor.shape) != tensor.shape:
                fresh = tensor.new_zeros(shapes[key])
                is_parameter = isinstance(tensor, nn.Parameter)
                setattr(module, key, nn.Parameter(fresh, tensor.requires_grad) if is_parameter else fresh)
    tie(model, ties)


def _same_dimensions(kind: LayerKind, own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    needed = [key for key in (kind.outputs if kind is not OTHER else shapes) if key in own]
    return bool(needed) and all(key in shapes and len(shapes[key]) == own[key].dim() for key in needed)
