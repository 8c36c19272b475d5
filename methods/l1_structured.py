from prunetui.api import Channels, ChannelScope, Count, Net, Normalise, dataclass, keep_channels, per_channel, register


@register("l1-structured", source="Li et al. 2017, arXiv:1608.08710")
@dataclass(frozen=True)
class L1Structured:
    """Remove the channels whose filters have the smallest L1 norm, from every layer coupled to them.

    Channels of a residual stream are made by several convolutions and score the sum of their norms; the
    paper prunes block-internal channels and follows the shortcut's norms.
    """

    scope: ChannelScope = "local"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "mean"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = per_channel(net, {name: w.abs() for name, w in net.weights().items()})
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to, self.normalise))
