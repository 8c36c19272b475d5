from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Net,
    Normalise,
    dataclass,
    group_squares,
    keep_channels,
    register,
)


@register("group-norm", source="Fang et al. 2023, DepGraph, arXiv:2301.12900")
@dataclass(frozen=True)
class GroupNorm:
    """Remove the channels with the smallest L2 norm over all that goes with them: producers, batch norms, consumers.

    DepGraph's group importance without its sparse training, as Torch-Pruning counts: the squared norm that the channel
    has in each weight that makes it, in each batch norm's scale and in each weight that reads it, averaged over these.
    """

    scope: ChannelScope = "local"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "mean"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        return Channels(keep_channels(net, group_squares(net), sparsity, self.scope, self.round_to, self.normalise))
