"""A small fully convolutional detector: at each place of one map, classes and the distances to the sides of a box."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import model

STRIDE = 4
"""Pixels from one place of the maps to the next."""
PRIOR = 0.01
"""How likely an untrained network holds each class for (Lin et al. 2017): most places show nothing."""


class NormalisedConv(nn.Sequential):
    """A padded 3x3 convolution with batch norm and ReLU."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class TinyDetector(nn.Module):
    """Maps of half, a quarter and an eighth of the image; the last is added to the one before, which the heads read.

    As FCOS, with one level instead of five and without centerness; the level of a quarter is that of CenterNet.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.level2 = nn.Sequential(NormalisedConv(channels, width, 2), NormalisedConv(width, width))
        self.level4 = nn.Sequential(NormalisedConv(width, 2 * width, 2), NormalisedConv(2 * width, 2 * width))
        self.level8 = nn.Sequential(NormalisedConv(2 * width, 4 * width, 2), NormalisedConv(4 * width, 4 * width))
        self.across, self.down = nn.Conv2d(2 * width, 2 * width, 1), nn.Conv2d(4 * width, 2 * width, 1)
        self.classify = nn.Sequential(NormalisedConv(2 * width, 2 * width), NormalisedConv(2 * width, 2 * width))
        self.locate = nn.Sequential(NormalisedConv(2 * width, 2 * width), NormalisedConv(2 * width, 2 * width))
        self.scores, self.distances = nn.Conv2d(2 * width, classes, 3, padding=1), nn.Conv2d(2 * width, 4, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in (self.scores, self.distances):
            nn.init.normal_(head.weight, std=0.01)
        nn.init.constant_(self.scores.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images [B, channels, H, W] -> logits `scores` [B, classes, H/4, W/4] and `distances` [B, 4, H/4, W/4] > 0.

        Distances are pixels from the middle of a place to the left, top, right and bottom of its box.
        """
        quarter = self.level4(self.level2(x))
        coarse = self.down(self.level8(quarter))
        fine = self.across(quarter) + F.interpolate(coarse, size=quarter.shape[-2:], mode="nearest")
        scores, distances = self.scores(self.classify(fine)), self.distances(self.locate(fine))
        return {"scores": scores, "distances": STRIDE * F.softplus(distances)}


@model("tiny-detector", source="Tian et al. 2019, arXiv:1904.01355; Zhou et al. 2019, arXiv:1904.07850", proved=True)
def tiny_detector(channels: int, classes: int, width: int = 16) -> nn.Module:
    """A small anchor-free detector with one level of maps, in the manner of FCOS and CenterNet."""
    return TinyDetector(channels, classes, width)
