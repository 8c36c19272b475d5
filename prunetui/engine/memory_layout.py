"""How the tensors of a network lie in memory: channels last, which convolutions are faster with, where it takes that.

A network's own code may ask for the other layout, as ``view`` does of a map that is flattened, and kernels of three
dimensions have no such layout. Whether a network is computed so is tried once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.models import Architecture, skeleton

EXAMPLES = 2


def laid_out(model: nn.Module, architecture: Architecture) -> nn.Module:
    """A network of an architecture as it is fastest, in place; of images it takes any layout afterwards."""
    if architecture.built_in or _is_computed_channels_last(architecture):
        return model.to(memory_format=torch.channels_last)
    model.register_forward_pre_hook(_contiguous, with_kwargs=True)
    return model


def _contiguous(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Images, which data sets hand out channels last, as the network's code expects them."""
    return tuple(map(_as_written, inputs)), {name: _as_written(value) for name, value in named.items()}


def _as_written(value: Any) -> Any:
    """The same in the order of its dimensions. Of one channel both layouts are contiguous, but not alike to kernels."""
    return value.flatten().view(value.shape) if isinstance(value, Tensor) and value.dim() == 4 else value


@lru_cache(maxsize=32)
def _is_computed_channels_last(architecture: Architecture) -> bool:
    """Whether a network that reads images computes them in this layout."""
    channels, size = architecture.channels, architecture.size
    if channels is None or size is None:
        return False
    images = torch.zeros(EXAMPLES, channels, size, size).to(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            skeleton(architecture).to(memory_format=torch.channels_last).eval()(images)
    except Exception:  # noqa: BLE001 - whatever the network's own code raises: it does not take that
        return False
    return True
