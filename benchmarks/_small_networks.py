"""Networks for images of 16x16 or 32x32 pixels, small enough to be trained in a minute or two by one core."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn
from torchvision.models import DenseNet, MobileNetV2, ShuffleNetV2, VisionTransformer
from torchvision.models.regnet import BlockParams, RegNet

from prunetui.models.resnet import resnet20
from prunetui.models.vgg import vgg11

CLASSES = 10


def halved_resnet20(_: int) -> nn.Module:
    """ResNet-20 whose first convolution has stride 2: a quarter of its multiply-accumulates."""
    network = resnet20(3, CLASSES)
    first = network.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    first.stride = (2, 2)
    return network


def mobilenet_v2(_: int) -> nn.Module:
    """Half as wide as the original, with six of its blocks, down to 4x4 maps."""
    blocks = [[1, 16, 1, 1], [4, 24, 2, 1], [4, 32, 2, 2], [4, 64, 2, 2]]
    network: nn.Module = MobileNetV2(num_classes=CLASSES, width_mult=0.5, inverted_residual_setting=blocks)
    return network


def regnet_x(_: int) -> nn.Module:
    """Twelve blocks with groups of 8 channels."""
    blocks = BlockParams.from_init_params(depth=12, w_0=32, w_a=24.0, w_m=2.2, group_width=8)
    network: nn.Module = RegNet(blocks, num_classes=CLASSES)
    return network


def densenet(_: int) -> nn.Module:
    """Three dense blocks of 4, 6 and 4 layers with a growth of 16."""
    network: nn.Module = DenseNet(growth_rate=16, block_config=(4, 6, 4), num_init_features=32, num_classes=CLASSES)
    return network


def shufflenet_v2(_: int) -> nn.Module:
    """The smallest of its paper."""
    network: nn.Module = ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 1024], num_classes=CLASSES)
    return network


def vision_transformer(size: int) -> nn.Module:
    """Four blocks over 16 patches."""
    shape = {"num_layers": 4, "num_heads": 4, "hidden_dim": 96, "mlp_dim": 384}
    network: nn.Module = VisionTransformer(size, size // 4, **shape, num_classes=CLASSES)
    return network


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    "resnet20": halved_resnet20,
    "vgg11": lambda size: vgg11(3, CLASSES, size, width=16),
    "mobilenet_v2": mobilenet_v2,
    "densenet": densenet,
    "regnet_x": regnet_x,
    "shufflenet_v2": shufflenet_v2,
    "vision_transformer": vision_transformer,
}
"""How each is built for images of a size."""
