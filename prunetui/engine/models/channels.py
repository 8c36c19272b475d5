"""How many channels the images have that weights were made for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from prunetui.config.schema import Model
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.checkpoint import read_checkpoint
from prunetui.paths import user_path


def checkpoint_channels(model: Model) -> int | None:
    """Input channels of the network in a study's checkpoint; None if its first convolution is not found.

    Raises:
        UsageError: the checkpoint cannot be read.
    """
    assert model.checkpoint is not None
    return input_channels(read_checkpoint(user_path(model.checkpoint)).tensors, model.name)


def input_channels(tensors: Mapping[str, Tensor], architecture: str) -> int | None:
    """Input channels of an architecture's first convolution, whatever prefix the names have."""
    with torch.device("meta"):
        net = build(Architecture(architecture, channels=3, size=32, classes=10))
    first = next(name for name, parameter in net.named_parameters() if parameter.ndim == 4)
    ends = (first, f"{first}_orig")  # the second beside a mask of torch.nn.utils.prune
    named = [name for name in tensors if f".{name}".endswith(tuple(f".{end}" for end in ends))]
    if not named:
        return None
    weight = tensors[min(named, key=len)]  # the least nested: layer1.0.conv1.weight ends with conv1.weight too
    return int(weight.shape[1]) if weight.ndim == 4 else None
