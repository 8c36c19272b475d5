import torch

from prunetui.api import (
    Channels,
    Count,
    Factor,
    Net,
    Scope,
    Training,
    dataclass,
    keep_channels,
    per_channel,
    register,
)

PRESSED = 1e-6
"""Factor on the norms of what was pressed: below all others, in their own order, also in other layers."""


@register("growing-reg", source="Wang et al. 2021, Neural Pruning via Growing Regularization, arXiv:2012.09243")
@dataclass(frozen=True)
class GrowingRegularization:
    """Choose channels by L1 norm, press them to zero with a weight decay that grows, then remove them.

    GReg-1 of the paper. The decay rises evenly from 0 to `limit` over the training before the edit (the paper: in
    steps of 1e-4 every few batches, up to 1), so that what the channels did moves to the others while they fade.
    """

    scope: Scope = "local"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 3
    """Epochs of training under the growing decay."""

    limit: Factor = 1.0
    """Weight decay of the chosen channels at the end."""

    def during_training(self, training: Training, sparsity: float) -> None:
        weights = training.parameters()
        if not training.memory:
            norms = per_channel(training, {name: w.detach().float().abs() for name, w in weights.items()})
            training.memory.update(keep_channels(training, norms, sparsity, self.scope, self.round_to))
        for group in training.groups():
            decay = self.limit * training.progress * (~training.memory[group.name]).float()
            for part in group.weights("makes"):
                weight = weights[part.layer]
                if weight.grad is not None:
                    weight.grad += part.spread(decay, weight) * weight

    def prune(self, net: Net, sparsity: float) -> Channels:
        norms = per_channel(net, {name: w.abs().float() for name, w in net.weights().items()})
        for name, norm in norms.items():
            stays = net.memory.get(name, torch.ones(len(norm), dtype=torch.bool)).to(norm.device)
            norms[name] = torch.where(stays, norm, PRESSED * norm)  # goes first, also where it has not faded
        return Channels(keep_channels(net, norms, sparsity, self.scope, self.round_to))
