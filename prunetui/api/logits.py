"""Where the logits are in what a network gives: some give more than one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from prunetui.api.source import tensors_in

NAMES = ("logits", "out")
"""What transformers' networks and torchvision's with auxiliary heads, and torchvision's of segmentation, call them."""


def logits_of(outputs: Any) -> Any:
    """The logits: a tensor as it is, else what is called ``logits`` or ``out``, else the first tensor there is.

    Auxiliary heads (as of torchvision's googlenet in training) take no part in a loss then. What holds no tensor is
    given back as it is.
    """
    if isinstance(outputs, Tensor):
        return outputs
    for name in NAMES:
        found = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
        if isinstance(found, Tensor):
            return found
    return next(iter(tensors_in(outputs)), outputs)
