"""The networks, in their CIFAR form, for any image size, number of channels and classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from prunetui.engine.convolutions import KindsUsed
from prunetui.engine.models.resnet import bottleneck_resnet, cifar_resnet, wide_resnet
from prunetui.engine.models.vgg import vgg

WIDE = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
BOTTLENECK = {"resnet50": (3, 4, 6, 3)}
CIFAR = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}
VGG = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a dense network anew."""

    name: str
    channels: int
    """Channels of an input image."""
    size: int
    """Side of an input image in pixels."""
    classes: int
    shortcut: str = "B"
    width: int | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON-able data."""
        return asdict(self)


def build(architecture: Architecture) -> nn.Module:
    """The freshly initialised dense network; draws from torch's default generator."""
    a = architecture
    if a.name in CIFAR:
        return cifar_resnet(CIFAR[a.name], a.shortcut, a.channels, a.classes, a.width or 16)
    if a.name in WIDE:
        return wide_resnet(WIDE[a.name], a.channels, a.classes, a.width or 64)
    if a.name in BOTTLENECK:
        return bottleneck_resnet(BOTTLENECK[a.name], a.channels, a.classes, a.width or 64)
    return vgg(VGG[a.name], a.channels, a.classes, a.width or 64, a.size)


def convolutions_of(architecture: Architecture) -> frozenset[str]:
    """The kinds of convolutions that a network of this architecture computes, pruned or not."""
    with torch.random.fork_rng(devices=[]), KindsUsed() as used, torch.no_grad():
        a = architecture
        build(a).eval()(torch.zeros(1, a.channels, a.size, a.size))
    return frozenset(used.kinds)
