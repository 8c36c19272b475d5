"""Networks whose images have a name: called as ``model(images)`` like all others.

The engine, tasks and exporters call a network with a batch of images. Networks of transformers take theirs as
``pixel_values``, which is not always the first parameter. The network itself is changed to a class that passes images
on by that name, so that its tensors keep their names.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

IMAGES = "pixel_values"


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
