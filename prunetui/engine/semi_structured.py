"""2:4 networks in torch's semi-structured format, which GPUs with sparse tensor cores multiply faster.

The format has a kernel for matrix products only. So linear layers change, and 1x1 convolutions, which are the same
product at every place; wider kernels stay dense, for laying out their patches would cost more than zeros save.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prunetui.engine.layers import kind_of
from prunetui.errors import UsageError

OUTPUTS, INPUTS = 32, 64
"""The kernels want widths that are multiples of these."""
CAPABILITY = (8, 0)
"""Ampere, the first with sparse tensor cores."""


def is_two_of_four(weight: Tensor) -> bool:
    """Whether of every 4 consecutive inputs of a matrix [K, C] at most 2 are not zero."""
    return weight.shape[1] % 4 == 0 and bool(((weight.reshape(-1, 4) != 0).sum(1) <= 2).all())


def fitting(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that the format takes, by name, as products with a matrix."""
    found: dict[str, nn.Module] = {}
    for name, layer in model.named_modules():
        kind = kind_of(layer)
        product = kind.matrix_product(layer) if kind else None
        if product is not None:
            weight = product.get_parameter("weight").detach()
            if not (weight.shape[0] % OUTPUTS or weight.shape[1] % INPUTS) and is_two_of_four(weight):
                found[name] = product
    return found


def check_gpu() -> torch.device:
    """The GPU whose kernels take the format.

    Raises:
        UsageError: there is none.
    """
    if not torch.cuda.is_available():
        raise UsageError("the semi-structured format needs an NVIDIA GPU with sparse tensor cores; torch sees no GPU")
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < CAPABILITY:
        what = f"{torch.cuda.get_device_name()} has {major}.{minor}"
        raise UsageError(f"the semi-structured format needs a GPU of compute capability 8.0 or newer; {what}")
    return torch.device("cuda", torch.cuda.current_device())


def convert(model: nn.Module, compress: Callable[[Tensor], Tensor]) -> list[str]:
    """Give the layers that fit compressed weights, in place; ``compress`` makes them. The names of those layers.

    Raises:
        UsageError: no layer fits.
    """
    products = fitting(model)
    if not products:
        raise UsageError(
            "no layer fits the semi-structured format: it takes linear layers and 1x1 convolutions with 2 zeros in "
            f"every 4 inputs (method nm), outputs in multiples of {OUTPUTS} and inputs in multiples of {INPUTS}"
        )
    for name, product in products.items():
        weight = product.get_parameter("weight").detach().contiguous()
        product.weight = nn.Parameter(compress(weight), requires_grad=False)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, product)
    return list(products)


def to_semi_structured(model: nn.Module) -> nn.Module:
    """A 2:4 network on the GPU in bfloat16, its fitting layers compressed.

    Raises:
        UsageError: the machine has no such GPU, or no layer fits.
    """
    model = model.to(check_gpu(), torch.bfloat16)
    convert(model, torch.sparse.to_sparse_semi_structured)
    return model
