import torch

from prunetui.api import Channels, Count, Net, dataclass, keep_channels, register


@register("fpgm", source="He et al. 2019, Filter Pruning via Geometric Median, arXiv:1811.00250")
@dataclass(frozen=True)
class GeometricMedian:
    """Remove the filters nearest to the geometric median of their layer: those the others can replace.

    The score of a filter is the sum of its L2 distances to all filters of the layer (eq. 6 of the paper). Within a
    layer only: distances of different layers do not compare. Coupled layers add up.
    """

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        filters = {name: w.flatten(1).float() for name, w in net.weights().items()}
        scores = {
            g.name: torch.stack([torch.cdist(filters[n], filters[n]).sum(1) for n in g.producers]).sum(0)
            for g in net.groups()
        }
        return Channels(keep_channels(net, scores, sparsity, "local", self.round_to))
