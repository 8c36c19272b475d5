import torch
from torch import Tensor

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Factor,
    Group,
    Net,
    Normalise,
    Positive,
    Share,
    Training,
    dataclass,
    keep_channels,
    per_channel,
    register,
)

PRESSED = 1e-6
"""Factor on the norms of what was pressed: below all others, in their own order, also in other layers."""
MOMENTUM = 0.9
"""Of the moving average of a layer's ratio, as in the authors' code."""


@register("growing-reg", source="Wang et al. 2021, Neural Pruning via Growing Regularization, arXiv:2012.09243")
@dataclass(frozen=True)
class GrowingRegularization:
    """Choose channels by L1 norm, press them to zero with a weight decay that grows, then remove them.

    GReg-1 of the paper. The decay grows in steps, for each layer until its kept channels are `ratio` times as large as
    the pressed ones or it is at `limit`, and then stays, so that the net settles before the removal. The authors add
    1e-4 every 5 or 10 batches, which takes tens of epochs, and settle for 10,000 to 40,000 batches; here steps are as
    large as it takes to reach `limit` after the part `rise` of the training.
    """

    scope: ChannelScope = "local"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "mean"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 3
    """Epochs of training under the growing decay."""

    every: Positive = 5
    """Batches between two steps of the decay."""

    rise: Share = 0.75
    """Part of the training in which the decay grows; in the rest it stays."""

    limit: Factor = 1.0
    """Highest weight decay of the chosen channels."""

    ratio: Factor = 1000.0
    """How many times as large as the pressed channels the kept ones of a layer are when its decay stops growing."""

    def during_training(self, training: Training, sparsity: float) -> None:
        if not training.memory:
            keep = keep_channels(training, _norms(training), sparsity, self.scope, self.round_to, self.normalise)
            training.memory.update(keep)
        if training.batch % self.every == 0:
            norms = _norms(training)
            for group in training.groups():
                self._grow(training, group, norms[group.name])
        for group in training.groups():
            decay = training.memory[f"decay of {group.name}"] * (~training.memory[group.name])
            for part in group.weights("makes"):
                weight = training.model.get_parameter(part.tensor)
                if weight.grad is not None:
                    weight.grad += part.spread(decay, weight) * weight

    def _grow(self, training: Training, group: Group, norms: Tensor) -> None:
        """The next step of a group's decay, unless its channels are pressed hard enough already."""
        memory, keep = training.memory, training.memory[group.name]
        kept, pressed = norms[keep].mean(), norms[~keep].mean().clamp_min(1e-12)
        ratio = memory.get(f"ratio of {group.name}", kept / pressed)
        memory[f"ratio of {group.name}"] = ratio = MOMENTUM * ratio + (1 - MOMENTUM) * kept / pressed
        decay = norms.new_tensor(self.limit * min(1.0, training.progress / self.rise))
        before = memory.get(f"decay of {group.name}", decay)
        memory[f"decay of {group.name}"] = torch.where(ratio < self.ratio, torch.maximum(before, decay), before)

    def prune(self, net: Net, sparsity: float) -> Channels:
        norms = _norms(net)
        for name, norm in norms.items():
            stays = net.memory.get(name, torch.ones(len(norm), dtype=torch.bool)).to(norm.device)
            norms[name] = torch.where(stays, norm, PRESSED * norm)  # goes first, also where it has not faded
        return Channels(keep_channels(net, norms, sparsity, self.scope, self.round_to, self.normalise))


def _norms(net: Net | Training) -> dict[str, Tensor]:
    """The L1 norm of all weights that make each channel."""
    return per_channel(net, {name: w.detach().abs().float() for name, w in net.parameters().items()})
