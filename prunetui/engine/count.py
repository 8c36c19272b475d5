"""Exact counts: parameters, non-zero parameters and multiply-accumulates of one example.

MACs are those of convolutions, linear layers and products of matrices, attention included, whoever computes them: half
of what ``torch.utils.flop_counter`` counts. Torch-Pruning also counts activations and pooling (+0.3 to +0.9 %).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from prunetui.api.source import called, tensors_in
from prunetui.engine.layers import OTHER, Layer, LayerKind, counted_names, kind_of

aten = torch.ops.aten


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


@dataclass(frozen=True)
class Passed:
    """What a forward pass of one example shows."""

    layers: Mapping[str, Layer]
    """As ``used_layers``."""
    macs: int
    """All multiply-accumulates that were computed."""


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiply-accumulates of all that is computed within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip torch's compiler, torch would import it: 1.8 s of each process

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = _KERNELS.get(func._overloadpacket) or flop_registry.get(func._overloadpacket)
        if count is not None:
            self.macs += count(*args, **(kwargs or {}), out_val=out) // 2
        return out


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


def _recurrent(read: Tensor, of_input: Tensor, of_state: Tensor, *_: Any, **__: Any) -> int:
    """One layer and direction of a recurrent network: its weights are used at every step."""
    return 2 * (read.numel() // read.shape[-1]) * (of_input.numel() + of_state.numel())


_KERNELS: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten.mkldnn_rnn_layer: _recurrent,
}
"""Those of the CPU that torch's own counter does not know, and their operations."""


def passed(model: nn.Module, example: Any) -> Passed:
    """Compute ``example``, a batch of one, in evaluation mode, and note what is used; the net is left as found."""
    layers: dict[str, Layer] = {}
    shapes, elsewhere = _own_shapes(model)

    def watch(name: str, kind: LayerKind) -> Callable[..., None]:
        def record(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> None:
            before = layers[name].places if name in layers else 0
            read = tensors_in((*inputs, *named.values()))
            places = before + (kind.places(read[0], output) if read else 0)
            layers[name] = Layer(kind, shapes.get(name, {}), places, elsewhere.get(name, frozenset()))

        return record

    kinds = {name: (module, kind_of(module)) for name, module in model.named_modules()}
    handles = [
        module.register_forward_hook(watch(name, kind), with_kwargs=True)
        for name, (module, kind) in kinds.items()
        if kind
    ]
    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    counter = ProductCounter()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # of attention, it is one operation that calls no layers
        with torch.no_grad(), counter:
            called(model.eval(), example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    other = {
        name: _not_called(kinds.get(name, (None, None))[1], own, elsewhere[name])
        for name, own in shapes.items()
        if name not in layers and own.keys() - elsewhere[name]
    }
    return Passed({**other, **layers}, counter.macs)


def _not_called(kind: LayerKind | None, shapes: Mapping[str, tuple[int, ...]], elsewhere: frozenset[str]) -> Layer:
    return Layer(kind if kind and "weight" in shapes else OTHER, shapes, 0, elsewhere, called=False)


def used_layers(model: nn.Module, example: Any) -> Mapping[str, Layer]:
    """Every layer with parameters: first those that are not called, then those that ``example``, a batch of one,
    passes through, in that order.

    What is not called may be computed all the same, by the module that holds it, or in training; its weights are none
    that are pruned by themselves. A layer that is called several times has all its places, and a tensor with several
    names counts once.
    """
    return passed(model, example).layers


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
    seen = passed(model, example)
    layers, parameters = seen.layers, list(model.parameters())
    zeros = {id(p): int((p == 0).sum()) for p in parameters}
    removed = {name: int((~keep).sum()) for name, keep in (masks or {}).items()}
    params = sum(p.numel() for p in parameters)
    weights = sum(layer.cost("sparsity") for layer in layers.values())
    prunable = [name for name, layer in layers.items() if layer.prunable]
    return Counts(
        params=params,
        params_nonzero=params - sum(zeros.values()),
        weights=weights,
        weights_nonzero=weights - sum(removed.get(name, 0) for name in prunable),
        macs=seen.macs,
        macs_nonzero=seen.macs
        - sum(
            zeros[id(model.get_submodule(name).weight)] * layer.places
            for name, layer in layers.items()
            if layer.kind.prunable and layer.places
        ),
    )
