from prunetui.api import Channels, Count, Net, activation_maps, dataclass, keep_channels, register, zero_scores


@register("apoz", source="Hu et al. 2016, Network Trimming, arXiv:1607.03250")
@dataclass(frozen=True)
class AveragePercentageOfZeros:
    """Remove the channels whose maps are zero most often after the ReLU.

    Maps are looked at before they are pooled. Coupled channels are looked at where the first layer reads them. The
    paper removes what is more than one standard deviation above its layer's mean, layer after layer with retraining;
    here the study's target says how many go.
    """

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        alive = zero_scores(net)
        for maps in activation_maps(net):
            for name, m in maps.items():
                alive[name] += (m > 0).float().mean((2, 3)).sum(0)
        return Channels(keep_channels(net, alive, sparsity, "local", self.round_to))
