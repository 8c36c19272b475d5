import torch

from prunetui.api import Channels, Count, Net, Positive, dataclass, feature_maps, keep_channels, register


@register("chip", source="Sui et al. 2021, CHIP, arXiv:2110.13981")
@dataclass(frozen=True)
class Chip:
    """Remove the channels whose feature maps depend most on the others.

    Channel independence: the nuclear norm of the layer's maps [C, H x W] less that without the channel (the paper
    silences its row), averaged over images.
    """

    images: Positive = 16
    """Images looked at: C + 1 singular value decompositions each."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        maps = next(feature_maps(net))
        scores = {name: _independence(m[: self.images].flatten(2).float()) for name, m in maps.items()}
        return Channels(keep_channels(net, scores, sparsity, "local", self.round_to))


def _independence(maps: torch.Tensor) -> torch.Tensor:
    """Maps [B, C, P] -> the mean loss of nuclear norm [C] when a row is zeroed."""
    whole = torch.linalg.matrix_norm(maps, "nuc")
    losses = []
    for c in range(maps.shape[1]):
        without = maps.clone()
        without[:, c] = 0
        losses.append((whole - torch.linalg.matrix_norm(without, "nuc")).mean())
    return torch.stack(losses)
