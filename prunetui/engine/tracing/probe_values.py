"""Values for a network that is put to the proof: random ones, so that nothing is hidden.

A fresh bias or the last norm of a block is zero, a layer scale 1e-6: what is multiplied by them could be wrong, and
nobody would see it. Weights keep a signal's size from layer to layer, scales lie around one, biases are small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunetui.engine.tracing.cut_tensors import named_tensors

SEED = 4
SHIFTS = ("bias", "beta", "running_mean")


def randomise(model: nn.Module) -> None:
    """New values for every floating parameter and for the statistics of norms; other buffers are part of the code."""
    random = torch.Generator().manual_seed(SEED)
    done: set[int] = set()
    for name, tensor in named_tensors(model).items():
        own = name.rpartition(".")[2]
        moves = isinstance(tensor, nn.Parameter) or own in ("running_mean", "running_var")
        if moves and id(tensor) not in done and tensor.is_floating_point() and tensor.numel():
            done.add(id(tensor))
            tensor.data.copy_(_values(own, tuple(tensor.shape), random))


def disturb(model: nn.Module) -> None:
    """Small random changes instead, for a network that cannot be computed with any values."""
    random = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.numel():
            noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            size = parameter.detach().abs().mean().clamp_min(1e-2)
            parameter.data.add_(0.2 * size * noise.to(parameter))


def _values(own: str, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    normal = torch.randn(shape, generator=random, dtype=torch.float64)
    if any(own.endswith(part) for part in SHIFTS):
        return 0.3 * normal
    if len([size for size in shape if size > 1]) <= 1:  # scales, a number a channel
        return 0.5 + torch.rand(shape, generator=random, dtype=torch.float64)
    inputs = normal.numel() // shape[0]
    return normal * (
        0.5 if shape[0] == 1 else (1.5 / inputs) ** 0.5
    )  # with one row: a position or a token that is added
