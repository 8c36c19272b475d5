"""A model of your own: a function that returns a network.

    prunetui --batch --set model.name=own_model.py:make_net --set model.options.depth=3

It is given what it asks for by name: ``channels`` and ``size`` of the images, ``classes``, and ``width`` where a study
says ``model.width``. All other parameters are options.
"""

from __future__ import annotations

from torch import nn


def make_net(channels: int, classes: int, width: int = 16, depth: int = 2) -> nn.Module:
    """Convolutions one after the other, each with a batch norm.

    Args:
        depth: How many convolutions.
    """
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
