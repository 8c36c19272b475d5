"""Exact counts: parameters, non-zero parameters and multiply-accumulates of one image.

MACs are those of convolutions and linear layers, the convention of the tables this tool is compared with;
Torch-Pruning also counts activations and pooling (+0.3 to +0.9 %).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.source import called
from prunetui.engine.layers import OTHER, Layer, LayerKind, counted_names, kind_of


@dataclass(frozen=True)
class Counts:
    """Of a whole net; ``weights`` are those of convolutions and linear layers.

    ``macs`` is what is computed, ``macs_nonzero`` the part whose weight is not zero: what a runtime that skips every
    single zero would compute, as the literature counts masks.
    """

    params: int
    params_nonzero: int
    weights: int
    weights_nonzero: int
    macs: int
    macs_nonzero: int


def used_layers(model: nn.Module, example: Any) -> dict[str, Layer]:
    """Every layer with parameters: first those that are not called, then those that ``example``, a batch of one,
    passes through, in that order.

    What is not called may be computed all the same, by the module that holds it, and is counted as a layer of no known
    kind. A layer that is called several times has all its places, and a tensor with several names counts once.
    """
    layers: dict[str, Layer] = {}
    shapes, elsewhere = _own_shapes(model)

    def watch(name: str, kind: LayerKind) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            before = layers[name].places if name in layers else 0
            places = before + (kind.places(inputs[0], output) if inputs else 0)
            layers[name] = Layer(kind, shapes.get(name, {}), places, elsewhere.get(name, frozenset()))

        return record

    kinds = {name: (module, kind_of(module)) for name, module in model.named_modules()}
    handles = [module.register_forward_hook(watch(name, kind)) for name, (module, kind) in kinds.items() if kind]
    was_training = model.training
    try:
        with torch.no_grad():
            called(model.eval(), example)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    other = {
        name: Layer(OTHER, own, 0, elsewhere[name])
        for name, own in shapes.items()
        if name not in layers and own.keys() - elsewhere[name]
    }
    return {**other, **layers}


def _own_shapes(model: nn.Module) -> tuple[dict[str, dict[str, tuple[int, ...]]], dict[str, frozenset[str]]]:
    """By the names of modules: the shapes of their own parameters, and which of these count for another module."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    elsewhere: dict[str, frozenset[str]] = {}
    counted = counted_names(model)
    for full, parameter in model.named_parameters(remove_duplicate=False):
        name, _, own = full.rpartition(".")
        shapes.setdefault(name, {})[own] = tuple(parameter.shape)
        elsewhere[name] = elsewhere.get(name, frozenset()) | ({own} if full not in counted else set())
    return shapes, elsewhere


def count(model: nn.Module, example: Any, masks: Mapping[str, Tensor] | None = None) -> Counts:
    """Count a net; what a mask removes is zero even where the weight itself would be."""
    layers = used_layers(model, example)
    parameters = list(model.parameters())
    zeros = {id(p): int((p == 0).sum()) for p in parameters}
    removed = {name: int((~keep).sum()) for name, keep in (masks or {}).items()}
    params = sum(p.numel() for p in parameters)
    weights = sum(layer.cost("sparsity") for layer in layers.values())
    macs = sum(layer.cost("macs") for layer in layers.values())
    prunable = [name for name, layer in layers.items() if layer.prunable]
    return Counts(
        params=params,
        params_nonzero=params - sum(zeros.values()),
        weights=weights,
        weights_nonzero=weights - sum(removed.get(name, 0) for name in prunable),
        macs=macs,
        macs_nonzero=macs
        - sum(
            zeros[id(model.get_submodule(name).weight)] * layer.places
            for name, layer in layers.items()
            if layer.kind.prunable
        ),
    )
