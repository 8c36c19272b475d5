"""What layers read, added up over calibration examples for every weight: sums, squares, variances."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunetui.api.net import Net


def blocks_of(names: Iterable[str]) -> list[list[str]]:
    """Layers by the block they are in: names that agree up to their first number; others are blocks of their own."""
    blocks: dict[str, list[str]] = {}
    for name in names:
        numbered = re.match(r"(.*?\.)?\d+(?=\.|$)", name)
        blocks.setdefault(numbered[0] if numbered else name, []).append(name)
    return list(blocks.values())


def input_energies(net: Net, names: Sequence[str]) -> dict[str, Tensor]:
    """Of each layer, the sum over calibration examples and places of the squared input that a weight reads."""
    return {name: sums[0] for name, sums in _sums(net, names, (torch.square,)).items()}


@dataclass(frozen=True)
class InputMoments:
    """Of the inputs that each weight of a layer reads; shaped as ``read_sum`` says."""

    total: Tensor
    """The sum over an example's places or tokens, averaged over examples."""
    energy: Tensor
    """The sum of squares over all examples and places."""
    variance: Tensor
    """Over all examples and places."""


def input_moments(net: Net, names: Sequence[str]) -> dict[str, InputMoments]:
    """The moments of what each of these layers reads of the calibration examples."""
    found = {}
    for name, (total, energy, count) in _sums(net, names, (Tensor.clone, torch.square, torch.ones_like)).items():
        count = count.clamp_min(1)
        variance = (energy / count - (total / count).square()).clamp_min(0)
        found[name] = InputMoments(total / net.count, energy, variance)
    return found


def read_sum(layer: nn.Module, values: Tensor) -> Tensor:
    """Sum over examples, places and tokens of the ``values`` that a weight reads: [1, in, k, k], or [1, in].

    Of a grouped convolution, whose outputs read different inputs, it is [out, in / groups, k, k].
    """
    if not isinstance(layer, _ConvNd):
        return values.flatten(0, -2).sum(0, keepdim=True)
    if isinstance(layer, _ConvTransposeNd):  # each weight is used at every place of the input
        sums = values.flatten(2).sum((0, 2))
        return sums.view(1, -1, *[1] * len(layer.kernel_size))
    shape = (layer.groups, values.shape[1] // layer.groups, *layer.kernel_size)
    with torch.enable_grad():  # the gradient of a convolution with respect to its kernel is just this sum
        kernel = torch.zeros(shape, device=values.device, requires_grad=True)
        out = layer._conv_forward(values, kernel, None)
        found = torch.autograd.grad(out.sum(), kernel)[0]
    return found if layer.groups == 1 else found.repeat_interleave(layer.out_channels // layer.groups, 0)


def _sums(net: Net, names: Sequence[str], functions: Sequence[Callable[[Tensor], Tensor]]) -> dict[str, list[Tensor]]:
    """Of each layer, the sums of functions of what its weights read."""
    layers, sums = net.layers(), dict[str, list[Tensor]]()
    for seen in net.inputs():
        for name in names:
            found = [read_sum(layers[name], function(seen[name].float())) for function in functions]
            sums[name] = [a + b for a, b in zip(sums[name], found, strict=True)] if name in sums else found
    return sums
