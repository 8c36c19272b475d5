import torch

from prunetui.api import Channels, Count, Net, Scope, channel_maps, dataclass, keep_channels, register, zero_scores


@register("fisher-structured", source="Theis et al. 2018, arXiv:1801.05787")
@dataclass(frozen=True)
class FisherStructured:
    """Remove the feature maps whose absence raises the loss least, by the empirical Fisher information.

    Per image, (sum over a map of activation x gradient) squared, halved and averaged; maps that several layers
    read add up what flows back through each.
    """

    scope: Scope = "global"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = zero_scores(net)
        for maps, grads in net.inputs_and_gradients():
            for group in net.groups():
                parts = list(group.weights("reads"))
                flows = [channel_maps(p, maps[p.layer] * grads[p.layer]).float().flatten(2).sum(2) for p in parts]
                signal = torch.stack(flows).sum(0)
                scores[group.name] += signal.square().sum(0) / 2
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))
