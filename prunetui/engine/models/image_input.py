"""What goes into a network where only its class tells: images by a name, and an example without any data.

The engine, tasks and exporters call a network with a batch of images. Networks of transformers take theirs as
``pixel_values``, which is not always the first parameter. The network itself is changed to a class that passes images
on by that name, so that its tensors keep their names.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

IMAGES, WORDS = "pixel_values", "input_ids"
LENGTH = 16
"""Words of an example."""


def taking_images(network: nn.Module) -> nn.Module:
    """The same network; one that takes ``pixel_values`` takes them as its first argument."""
    kind = type(network)
    parameters = inspect.signature(kind.forward).parameters
    if IMAGES in parameters and list(parameters)[1:2] != [IMAGES]:
        network.__class__ = type(kind.__name__, (_NamedImages, kind), {})
    return network


class _NamedImages(nn.Module):
    def forward(self, images: Any = None, **named: Any) -> Any:
        """What the network makes of images; keywords are its own."""
        return super().forward(**({} if images is None else {IMAGES: images}), **named)


def plain_example(network: nn.Module, channels: int, size: int) -> Any:
    """A batch of one for a network without data: an image of zeros, or words where it says it takes those."""
    if getattr(network, "main_input_name", IMAGES) == WORDS:
        return {WORDS: torch.arange(LENGTH)[None]}
    return torch.zeros(1, channels, size, size)
