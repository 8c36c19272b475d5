from torch import Tensor

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Factor,
    Group,
    Literal,
    Net,
    Normalise,
    Slice,
    Training,
    dataclass,
    group_squares,
    keep_channels,
    register,
)

TINY = 1e-9
"""Added to squared norms, so that a channel of zeros has no infinite gradient."""


@register(
    "group-lasso",
    source="Fang et al. 2023, DepGraph, arXiv:2301.12900, section 3.3; the lasso as in Wen et al. 2016, "
    "arXiv:1608.03665",
)
@dataclass(frozen=True)
class GroupLasso:
    """Train channels towards zero, the weakest hardest, then remove those with the smallest group norm.

    DepGraph's penalty is no lasso but a weighted weight decay: the sum over channels of 2^(alpha s) x squared norm / 2
    of all weights that go with the channel, batch norms' scales included, with s from 0 for the strongest channel of
    its group to 1 for the weakest, by norms renewed every batch as in Torch-Pruning (the paper writes squared norms).
    `penalty = "lasso"` is the sum of the norms themselves, whose gradient w / ||w|| leads channels all the way to zero.
    """

    penalty: Literal["squared", "lasso"] = "squared"
    """DepGraph's weighted squared norm, or the group lasso."""

    scope: ChannelScope = "local"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "mean"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 3
    """Epochs of sparse training before the first edit."""

    strength: Factor = 5e-4
    """Factor of the penalty; the paper trains longer, with 1e-4 to 5e-4."""

    alpha: Factor = 4.0
    """How much harder the squared penalty pushes the weakest channels: 2^alpha times."""

    def during_training(self, training: Training) -> None:
        squares = group_squares(training)
        for group in training.groups():
            mean = squares[group.name] + TINY
            if self.penalty == "lasso":
                pressure = (mean * len(_parts(group))).rsqrt()
            else:
                norms = mean.sqrt()
                weakness = (norms.max() - norms) / (norms.max() - norms.min()).clamp_min(TINY)
                pressure = 2 ** (self.alpha * weakness)
            _shrink(group, training, self.strength * pressure)

    def prune(self, net: Net, sparsity: float) -> Channels:
        return Channels(keep_channels(net, group_squares(net), sparsity, self.scope, self.round_to, self.normalise))


def _parts(group: Group) -> list[Slice]:
    """Where a channel has weights: what makes it, scales it and reads it."""
    return list(group.weights("makes", "scales", "reads"))


def _shrink(group: Group, training: Training, pressure: Tensor) -> None:
    """Add the penalty's gradient, ``pressure`` times the weights that go with each channel."""
    for part in _parts(group):
        weight = training.model.get_parameter(part.tensor)
        if weight.grad is not None:
            weight.grad += part.spread(pressure, weight) * weight
