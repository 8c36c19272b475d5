import torch
from torch import Tensor

from prunetui.api import Channels, Count, Net, Training, dataclass, filters_of, keep_channels, register, weights_of


@register("fpgm", source="He et al. 2019, Filter Pruning via Geometric Median, arXiv:1811.00250")
@dataclass(frozen=True)
class GeometricMedian:
    """Remove the filters nearest to the geometric median of their layer: those the others can replace.

    The score of a filter is the sum of its L2 distances to all filters of the layer (eq. 6 of the paper). Within a
    layer only: distances of different layers do not compare. Coupled layers add up. The paper chooses anew after every
    epoch of a training, sets the chosen filters to zero and lets them come back: set `epochs` for that; without, they
    are chosen once.
    """

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 0
    """Epochs of training before the first edit, at whose starts filters are chosen and set to zero."""

    def during_training(self, training: Training, sparsity: float) -> None:
        if training.batch % training.batches == 0:
            keep = keep_channels(training, distances(training), sparsity, "local", self.round_to)
            training.zero_filters(keep)

    def prune(self, net: Net, sparsity: float) -> Channels:
        return Channels(keep_channels(net, distances(net), sparsity, "local", self.round_to))


def distances(net: Net | Training) -> dict[str, Tensor]:
    """By group [width]: the sum of a filter's distances to all filters of its layer, over the layers that make it."""
    weights, found = net.parameters(), {}
    for group in net.groups():
        filters = [filters_of(p, weights[p.layer].detach()).float() for p in weights_of(group, weights, "makes")]
        found[group.name] = torch.stack([torch.cdist(each, each).sum(1) for each in filters]).sum(0)
    return found
