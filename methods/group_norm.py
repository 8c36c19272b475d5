from prunetui.api import Channels, Count, Net, Scope, dataclass, keep_channels, per_channel, register


@register("group-norm", source="Fang et al. 2023, DepGraph, arXiv:2301.12900")
@dataclass(frozen=True)
class GroupNorm:
    """Remove the channels with the smallest L2 norm over all weights that go with them, producers and consumers.

    DepGraph's group importance without its sparse training.
    """

    scope: Scope = "local"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        squares = per_channel(net, {name: w.square() for name, w in net.weights().items()}, consumers=True)
        scores = {name: total.sqrt() for name, total in squares.items()}
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))
