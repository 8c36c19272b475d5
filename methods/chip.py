import torch

from prunetui.api import (
    Channels,
    Count,
    Net,
    Positive,
    activation_maps,
    dataclass,
    keep_channels,
    register,
    zero_scores,
)


@register("chip", source="Sui et al. 2021, CHIP, arXiv:2110.13981")
@dataclass(frozen=True)
class Chip:
    """Remove the channels whose feature maps depend most on the others.

    Channel independence: the nuclear norm of the layer's maps [C, H x W] less that without the channel (the paper
    silences its row), averaged over images; maps are those after the ReLU and before any pooling, of coupled channels
    where the first layer reads them. The paper looks at 5 x 128 images and sets each layer's ratio by hand; here
    `images` of the calibration images are looked at, or all if there are fewer, and all layers lose the same share.
    """

    images: Positive = 16
    """Images looked at: C + 1 singular value decompositions each. No more than `measure.calibrate` gives."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores, left = zero_scores(net), min(self.images, net.count)
        for maps in activation_maps(net):
            for name, m in maps.items():
                scores[name] += independence(m[:left].flatten(2).float())
            left -= min(left, len(next(iter(maps.values()), ())))
            if not left:
                break
        return Channels(keep_channels(net, scores, sparsity, "local", self.round_to))


def independence(maps: torch.Tensor) -> torch.Tensor:
    """Maps [B, C, P] -> the loss of nuclear norm [C] when a row is zeroed, summed over the images."""
    whole = torch.linalg.matrix_norm(maps, "nuc")
    losses = []
    for c in range(maps.shape[1]):
        without = maps.clone()
        without[:, c] = 0
        losses.append((whole - torch.linalg.matrix_norm(without, "nuc")).sum())
    return torch.stack(losses)
