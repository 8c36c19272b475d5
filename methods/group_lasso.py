from collections.abc import Mapping

from torch import Tensor

from prunetui.api import (
    Channels,
    Count,
    Factor,
    Group,
    Net,
    Scope,
    Training,
    dataclass,
    keep_channels,
    per_channel,
    register,
)


@register("group-lasso", source="Fang et al. 2023, DepGraph, arXiv:2301.12900, section 3.3")
@dataclass(frozen=True)
class GroupLasso:
    """Train channels towards zero, the weakest hardest, then remove those with the smallest group norm.

    The penalty is the sum over channels of 2^(alpha s) x squared norm of all weights that go with the channel, with s
    from 0 for the strongest channel of its group to 1 for the weakest, renewed every epoch.
    """

    scope: Scope = "local"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 3
    """Epochs of sparse training before the first edit."""

    strength: Factor = 5e-4
    """Factor of the penalty; the paper trains longer, with 1e-4 to 5e-4."""

    alpha: Factor = 4.0
    """How much harder the weakest channels are pushed: 2^alpha times."""

    def during_training(self, training: Training) -> None:
        weights = training.parameters()
        if training.batch % training.batches == 0:
            for name, energy in _energy(training, weights).items():
                spread = (energy.max() - energy.min()).clamp_min(1e-12)
                training.memory[name] = 2 ** (self.alpha * (energy.max() - energy) / spread)
        for group in training.groups():
            _shrink(group, weights, self.strength * training.memory[group.name])

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = {name: energy.sqrt() for name, energy in _energy(net, net.weights()).items()}
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))


def _energy(net: Net | Training, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The squared norm of all weights that go with each channel."""
    return per_channel(net, {name: w.detach().float().square() for name, w in weights.items()}, consumers=True)


def _shrink(group: Group, weights: Mapping[str, Tensor], strength: Tensor) -> None:
    """Add the penalty's gradient to the weights that make a channel and to those that read it."""
    for part in group.weights("makes", "reads"):
        weight = weights[part.layer]
        if weight.grad is not None:
            weight.grad += part.spread(strength, weight) * weight
