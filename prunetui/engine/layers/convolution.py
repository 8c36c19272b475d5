"""Convolutions of all inputs with all outputs, in one to three dimensions."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunetui.engine.layers.kind import DoesNotFit, LayerKind, Shapes, Stay


def is_convolution(module: nn.Module) -> TypeGuard[_ConvNd]:
    """Whether a module is a convolution of any number of dimensions; transposed ones are not."""
    return isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd)


def blocks_left(blocks: int, stay: Tensor | None, what: str) -> int:
    """How many equally large blocks are left: as many as before where each lost the same, else the whole ones.

    Raises:
        DoesNotFit: blocks would be left with different numbers.
    """
    if stay is None:
        return blocks
    left = stay.view(blocks, -1).sum(1)
    size = len(stay) // blocks
    if bool(((left == 0) | (left == size)).all()):
        return int((left == size).sum())
    if bool((left != left[0]).any()):
        raise DoesNotFit(f"{what} would be left with {left.min()} to {left.max()} channels in each")
    return blocks


class Convolution(LayerKind):
    """Weights [out, in, *kernel], each used at every place of the output."""

    def fits(self, module: nn.Module) -> bool:
        return is_convolution(module) and module.groups == 1

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        outputs, inputs = shapes["weight"][:2]
        return {"out_channels": outputs, "in_channels": inputs}

    def places(self, read: Tensor, made: Tensor) -> int:
        return len(made) * math.prod(made.shape[2:])

    def matrix_product(self, module: nn.Module) -> nn.Module | None:
        if type(module) is not nn.Conv2d or (module.kernel_size, module.padding) != ((1, 1), (0, 0)):
            return None
        return Pointwise(module)


class Pointwise(nn.Module):
    """A 1x1 convolution as a matrix product over the channels of every place: [B, C, H, W] -> [B, K, H / s, W / s]."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride = conv.stride
        self.weight = nn.Parameter(conv.weight.detach().flatten(1), requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride[0], :: self.stride[1]].permute(0, 2, 3, 1)
        rows = F.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        return rows.view(*x.shape[:-1], -1).permute(0, 3, 1, 2)
