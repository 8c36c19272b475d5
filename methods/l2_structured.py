from torch import Tensor

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Net,
    Normalise,
    Training,
    dataclass,
    keep_channels,
    per_channel,
    register,
)


@register("l2-structured", source="He et al. 2018, Soft Filter Pruning, arXiv:1808.06866")
@dataclass(frozen=True)
class L2Structured:
    """Remove the channels whose filters have the smallest L2 norm, from every layer coupled to them.

    The norm is that of soft filter pruning, which chooses anew after every epoch of a training, sets the chosen filters
    to zero and lets them come back: set `epochs` for that; without, they are chosen once.
    """

    scope: ChannelScope = "local"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "mean"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 0
    """Epochs of training before the first edit, at whose starts filters are chosen and set to zero."""

    def during_training(self, training: Training, sparsity: float) -> None:
        if training.batch % training.batches == 0:
            training.zero_filters(self._kept(training, sparsity))

    def prune(self, net: Net, sparsity: float) -> Channels:
        return Channels(self._kept(net, sparsity))

    def _kept(self, net: Net | Training, sparsity: float) -> dict[str, Tensor]:
        squares = per_channel(net, {name: w.detach().float().square() for name, w in net.parameters().items()})
        scores = {name: total.sqrt() for name, total in squares.items()}
        return keep_channels(net, scores, sparsity, self.scope, self.round_to, self.normalise)
