import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Factor,
    Group,
    Net,
    Normalise,
    Training,
    TrialError,
    cannot_rank,
    dataclass,
    keep_channels,
    register,
)


@register("bn-scale", source="Liu et al. 2017, Network Slimming, arXiv:1708.06519")
@dataclass(frozen=True)
class BatchNormScale:
    """Remove the channels whose batch-norm scales are smallest.

    Without `epochs` this is the criterion alone and not network slimming, which first trains with an L1 penalty on the
    scales: set `epochs` for that. As there one threshold on the magnitudes themselves holds for all layers. Coupled
    channels score the mean of their scales; the paper's networks have none. Channels without a batch norm stay.
    """

    scope: ChannelScope = "global"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "none"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    epochs: Count = 0
    """Epochs of training under the penalty before the first edit; the paper trains all its 160 under it."""

    l1: Factor = 1e-4
    """Factor of the penalty, the sum of the absolute scales; the paper takes 1e-4 for VGG and 1e-5 for ResNet."""

    def during_training(self, training: Training) -> None:
        parameters = dict(training.model.named_parameters())
        for norm in {norm for group in training.groups() for norm in batch_norms(group, training.model)}:
            scale = parameters[f"{norm}.weight"]
            if scale.grad is not None:
                scale.grad += self.l1 * scale.sign()

    def prune(self, net: Net, sparsity: float) -> Channels:
        scales = {name: p.detach().abs() for name, p in net.model.named_parameters()}
        norms = {group.name: batch_norms(group, net.model) for group in net.groups()}
        if not any(norms.values()):
            raise TrialError("the network has no batch norm on channels that may go, whose scales this method ranks")
        if bare := [group for group in net.groups() if not norms[group.name]]:
            raise cannot_rank(bare[0], "no batch norm scales")
        scores = {n: torch.stack([scales[f"{norm}.weight"] for norm in found]).mean(0) for n, found in norms.items()}
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to, self.normalise))


def batch_norms(group: Group, model: nn.Module) -> list[str]:
    """The batch norms on a group's channels; other scales, as of PReLU, have another meaning."""
    scaled = {name: model.get_submodule(name) for name in group.norms}
    return [name for name, layer in scaled.items() if isinstance(layer, _BatchNorm) and layer.affine]
