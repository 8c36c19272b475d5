"""A source as it was read from what a study says, and what a network is told of it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from prunetui.api import Source, Task


class LoadedSource(Source, Protocol):
    """A source that can be brought to a device, and that may know its classes."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes by label; None where the examples have none, or nobody said them."""

    def to(self, device: torch.device) -> LoadedSource:
        """The same data, with batches on another device."""


Shape = tuple[int | None, int | None, int | None]
"""Channels and side of an image, and the number of outputs; None is what the data does not say."""


def network_shape(task: Task, source: LoadedSource) -> Shape:
    """What a network is built for: channels and size where one image [C, H, W] goes into it, and its outputs."""
    inputs = task.inputs(source.example())
    outputs = task.outputs or (len(source.classes) if source.classes is not None else None)
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        return None, None, outputs
    _, channels, height, width = inputs.shape
    return channels, height if height == width else None, outputs
