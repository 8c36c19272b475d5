"""VGG with batch norm and one linear layer, as used on CIFAR (Simonyan & Zisserman 2015, arXiv:1409.1556)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import model

STAGE_WIDTHS = (1, 2, 4, 8, 8)


class VGG(nn.Module):
    """Stages of 3x3 convolutions, each followed by a 2x2 max-pool while the image is larger than a pixel."""

    def __init__(self, blocks: Sequence[int], channels: int, classes: int, width: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for count, factor in zip(blocks, STAGE_WIDTHS, strict=True):
            for _ in range(count):
                outputs = width * factor
                layers += [
                    nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True),
                ]
                channels = outputs
            if size > 1:
                layers.append(nn.MaxPool2d(2))
                size //= 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))
        return out


@model("vgg11", source="Simonyan & Zisserman 2015, arXiv:1409.1556")
def vgg11(channels: int, classes: int, size: int, width: int = 64) -> nn.Module:
    """8 convolutions in five stages: 1, 1, 2, 2 and 2."""
    return VGG((1, 1, 2, 2, 2), channels, classes, width, size)


@model("vgg16", source="Simonyan & Zisserman 2015, arXiv:1409.1556")
def vgg16(channels: int, classes: int, size: int, width: int = 64) -> nn.Module:
    """13 convolutions in five stages: 2, 2, 3, 3 and 3."""
    return VGG((2, 2, 3, 3, 3), channels, classes, width, size)


@model("vgg19", source="Simonyan & Zisserman 2015, arXiv:1409.1556")
def vgg19(channels: int, classes: int, size: int, width: int = 64) -> nn.Module:
    """16 convolutions in five stages: 2, 2, 4, 4 and 4."""
    return VGG((2, 2, 4, 4, 4), channels, classes, width, size)
