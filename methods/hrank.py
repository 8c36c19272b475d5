import torch

from prunetui.api import Channels, Count, Net, activation_maps, dataclass, keep_channels, register, zero_scores


@register("hrank", source="Lin et al. 2020, HRank, arXiv:2002.10179")
@dataclass(frozen=True)
class HRank:
    """Remove the channels whose feature maps have the lowest average rank.

    Ranks are of single maps, [H, W] matrices after the ReLU and before any pooling, averaged over the calibration
    images (the paper: 500). Coupled channels are looked at where the first layer reads them. The paper sets each
    layer's ratio by hand; here all layers lose the same share.
    """

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        ranks = zero_scores(net)
        for maps in activation_maps(net):
            for name, m in maps.items():
                ranks[name] += torch.linalg.matrix_rank(m.float()).float().sum(0)
        return Channels(keep_channels(net, ranks, sparsity, "local", self.round_to))
