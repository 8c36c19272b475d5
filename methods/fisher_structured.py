import torch
from torch import Tensor

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Net,
    Normalise,
    channel_maps,
    count_of,
    dataclass,
    keep_channels,
    register,
    weights_of,
    zero_scores,
)


@register(
    "fisher-structured",
    source="Theis et al. 2018, arXiv:1801.05787; coupled channels as in Liu et al. 2021, Group Fisher, "
    "arXiv:2108.00708",
)
@dataclass(frozen=True)
class FisherStructured:
    """Remove the feature maps whose absence raises the loss least, by the empirical Fisher information.

    Per image, the sum over a map of activation x gradient; of a map that several layers read, the sum over its readers,
    each with the gradient that flows back through itself; then squared, halved and averaged. Both papers prune one
    channel at a time while they train, and divide by what a channel costs; here the study's target decides how many go.
    """

    scope: ChannelScope = "global"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "none"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        return Channels(
            keep_channels(net, fisher_information(net), sparsity, self.scope, self.round_to, self.normalise)
        )


def fisher_information(net: Net) -> dict[str, Tensor]:
    """By group [width]: half the mean over images of (sum over readers and places of activation x gradient)^2."""
    scores, layers = zero_scores(net), net.layers()
    for batch, (maps, grads) in zip(net.batches, net.inputs_and_gradients(), strict=True):
        for group in net.groups():
            parts = weights_of(group, maps, "reads")
            flow = [channel_maps(p, maps[p.layer] * grads[p.layer], layers[p.layer]).float() for p in parts]
            signal = torch.stack([of_each_image(each, count_of(batch)) for each in flow]).sum(0)
            scores[group.name] += signal.square().sum(0) / (2 * net.count)
    return scores


def of_each_image(maps: Tensor, images: int) -> Tensor:
    """Maps [B, C, H, W] summed up to [images, C]; several of B may be windows of one image."""
    sums = maps.flatten(2).sum(2)
    return sums.view(images, -1, sums.shape[1]).sum(1)
