"""A small U-Net (Ronneberger et al. 2015, arXiv:1505.04597), for images of any size."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import Literal, model


class TwoConvolutions(nn.Sequential):
    """3x3 convolutions, padded, each with batch norm and ReLU."""

    def __init__(self, inputs: int, width: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, width):
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class UNet(nn.Module):
    """Levels of half the size and twice the width each; on the way up what each level made before is concatenated.

    The original crops and upsamples by learned convolutions; here convolutions are padded and nearest pixels repeated.
    """

    def __init__(self, channels: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width << level for level in range(depth)]
        self.down = nn.ModuleList(map(TwoConvolutions, [channels, *widths], widths))
        ups = [TwoConvolutions(upper + lower, upper) for upper, lower in itertools.pairwise(widths)]
        self.up = nn.ModuleList(reversed(ups))
        self.head = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, channels, H, W] -> logits [B, classes, H, W]."""
        made: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            made.append(x)
        for block, skipped in zip(self.up, made[-2::-1], strict=True):
            larger = F.interpolate(x, size=skipped.shape[-2:], mode="nearest")
            x = block(torch.cat([skipped, larger], 1))
        logits: Tensor = self.head(x)
        return logits


@model("unet", source="Ronneberger et al. 2015, arXiv:1505.04597", proved=True)
def unet(channels: int, classes: int, width: int = 16, depth: Literal[1, 2, 3, 4, 5, 6] = 3) -> nn.Module:
    """A U-Net with padded convolutions and skip concatenations: as many logits as pixels.

    Args:
        depth: How many levels; images have at least 2 ** (depth - 1) pixels a side.
    """
    return UNet(channels, classes, width, depth)
