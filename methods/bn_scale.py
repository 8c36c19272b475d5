import torch

from prunetui.api import Channels, Count, Factor, Net, Scope, Training, dataclass, keep_channels, register


@register("bn-scale", source="Liu et al. 2017, Network Slimming, arXiv:1708.06519")
@dataclass(frozen=True)
class BatchNormScale:
    """Remove the channels whose batch-norm scales are smallest.

    The paper first trains with an L1 penalty on the scales: set `epochs` for that; without, this is the criterion
    alone. Scales of coupled channels add up.
    """

    scope: Scope = "global"
    """Rank across the whole net (relative to each layer's mean), or thin every layer by the same ratio."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 0
    """Epochs of training under the penalty before the first edit."""

    l1: Factor = 1e-4
    """Factor of the penalty, the sum of the absolute scales."""

    def during_training(self, training: Training) -> None:
        parameters = dict(training.model.named_parameters())
        for norm in {norm for group in training.groups() for norm in group.norms}:
            scale = parameters[f"{norm}.weight"]
            if scale.grad is not None:
                scale.grad += self.l1 * scale.sign()

    def prune(self, net: Net, sparsity: float) -> Channels:
        scales = {name: p.detach().abs() for name, p in net.model.named_parameters()}
        scores = {g.name: torch.stack([scales[f"{norm}.weight"] for norm in g.norms]).sum(0) for g in net.groups()}
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to))
