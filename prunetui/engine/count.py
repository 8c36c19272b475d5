"""Exact counts: parameters, non-zero parameters and multiply-accumulates of one image.

MACs are those of convolutions and linear layers, the convention of the tables this tool is compared with;
Torch-Pruning also counts activations and pooling (+0.3 to +0.9 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs: ``kernel`` weights connect each input with each output at ``places`` positions."""

    inputs: int
    outputs: int
    kernel: int
    places: int
    per_output: int
    """Parameters that come once an output channel: bias, or scale and shift."""

    def at(self, inputs: int | None = None, outputs: int | None = None) -> LayerCost:
        """The same layer with other widths."""
        return replace(
            self,
            inputs=self.inputs if inputs is None else inputs,
            outputs=self.outputs if outputs is None else outputs,
        )

    def cost(self, kind: str) -> int:
        """Prunable weights (``sparsity``), ``params`` or ``macs``."""
        weights = self.inputs * self.outputs * self.kernel
        return {
            "sparsity": weights,
            "params": weights + self.outputs * self.per_output,
            "macs": weights * self.places,
        }[kind]


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


def layer_costs(model: nn.Module, example: Tensor) -> dict[str, LayerCost]:
    """The cost of every layer with parameters, for one image shaped like ``example`` [1, C, H, W]."""
    costs: dict[str, LayerCost] = {}
    handles = []

    def hook(name: str) -> object:
        def record(module: nn.Module, inputs: object, output: Tensor) -> None:
            costs[name] = _cost(module, output)

        return record

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            handles.append(module.register_forward_hook(hook(name)))  # type: ignore[arg-type]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return costs


def _cost(module: nn.Module, output: Tensor) -> LayerCost:
    if isinstance(module, nn.BatchNorm2d):
        return LayerCost(0, module.num_features, 0, 0, 2)
    bias = int(module.bias is not None)
    if isinstance(module, nn.Conv2d):
        kernel = module.kernel_size[0] * module.kernel_size[1]
        places = output.shape[-2] * output.shape[-1]
        return LayerCost(module.in_channels // module.groups, module.out_channels, kernel, places, bias)
    assert isinstance(module, nn.Linear)
    return LayerCost(module.in_features, module.out_features, 1, 1, bias)


def count(model: nn.Module, example: Tensor, masks: Mapping[str, Tensor] | None = None) -> Counts:
    """Count a net; what a mask removes is zero even where the weight itself would be."""
    layers = layer_costs(model, example)
    parameters = dict(model.named_parameters())
    zeros = {name: int((p == 0).sum()) for name, p in parameters.items()}
    weights = [f"{n}.weight" for n, layer in layers.items() if layer.kernel]
    params = sum(p.numel() for p in parameters.values())
    total = sum(parameters[name].numel() for name in weights)
    removed = {f"{name}.weight": int((~keep).sum()) for name, keep in (masks or {}).items()}
    return Counts(
        params=params,
        params_nonzero=params - sum(zeros.values()),
        weights=total,
        weights_nonzero=total - sum(removed.get(name, 0) for name in weights),
        macs=sum(layer.cost("macs") for layer in layers.values()),
        macs_nonzero=sum(
            (parameters[f"{n}.weight"].numel() - zeros[f"{n}.weight"]) * layer.places
            for n, layer in layers.items()
            if layer.kernel
        ),
    )
