from prunetui.api import Channels, Count, Net, Scope, dataclass, keep_channels, per_channel, register, zero_scores


@register("taylor-structured", source="Molchanov et al. 2019, arXiv:1906.10771")
@dataclass(frozen=True)
class TaylorStructured:
    """Remove the channels whose removal changes the loss least, to first order.

    (sum of weight x gradient over the channel's filters) squared, averaged over batches: eq. 8 of the paper.
    """

    scope: Scope = "global"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        weights = net.weights()
        scores = zero_scores(net)
        for grads in net.batch_gradients():
            first_order = per_channel(net, {name: (w * grads[name]).float() for name, w in weights.items()})
            for name, change in first_order.items():
                scores[name] += change.square()
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))
