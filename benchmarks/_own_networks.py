"""Networks that no library offers under a name, as a user would write them in a file of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions with batch norms and ReLUs."""
    layers: list[nn.Module] = []
    for read in (inputs, outputs):
        layers += [nn.Conv2d(read, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class PlainUNet(nn.Module):
    """Ronneberger et al. 2015: maps of each level go down, and beside those that come up again."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        ways = list(zip((channels, *widths), widths, strict=False))
        self.down = nn.ModuleList([block(*way) for way in ways])
        self.pool = nn.MaxPool2d(2)
        back = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList([nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in back])
        self.merge = nn.ModuleList([block(2 * narrow, narrow) for _, narrow in back])
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, classes, H, W]; H and W are multiples of 4."""
        kept: list[Tensor] = []
        for i, down in enumerate(self.down):
            x = down(self.pool(x) if i else x)
            kept.append(x)
        for up, merge, beside in zip(self.up, self.merge, kept[-2::-1], strict=True):
            x = merge(torch.cat([beside, up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


def unet(channels: int, classes: int) -> nn.Module:
    """A small U-Net."""
    return PlainUNet(channels, classes)


def faster_rcnn_backbone() -> nn.Module:
    """What torchvision's Faster R-CNN with a MobileNet sees: a dictionary of maps. Its heads depend on data."""
    made: Any = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=10)
    backbone: nn.Module = made.backbone
    return backbone


def ssdlite_backbone() -> nn.Module:
    """That of torchvision's SSDlite."""
    made: Any = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=10)
    backbone: nn.Module = made.backbone
    return backbone
