from prunetui.api import Channels, Count, Net, Scope, dataclass, keep_channels, per_channel, register


@register("l2-structured", source="He et al. 2018, arXiv:1808.06866 (the norm; ours removes instead of soft-pruning)")
@dataclass(frozen=True)
class L2Structured:
    """Remove the channels whose filters have the smallest L2 norm, from every layer coupled to them."""

    scope: Scope = "local"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        squares = per_channel(net, {name: w.square() for name, w in net.weights().items()})
        scores = {name: total.sqrt() for name, total in squares.items()}
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))
