from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prunetui.api import (
    Channels,
    ChannelScope,
    Count,
    Group,
    Literal,
    Net,
    Normalise,
    Slice,
    dataclass,
    keep_channels,
    register,
    weights_of,
    zero_scores,
)


@register("taylor-structured", source="Molchanov et al. 2019, arXiv:1906.10771")
@dataclass(frozen=True)
class TaylorStructured:
    """Remove the channels whose removal changes the loss least, to first order.

    The change for a gate z = 1 on a channel, (z x gradient)^2, averaged over batches. Behind a batch norm it is (scale
    x gradient + shift x gradient)^2, where there is none (weights x gradient + bias x gradient)^2. Coupled layers share
    their gate: their terms add up, and the square is divided by their number, as in the authors' code, which puts that
    gate behind the addition of a shortcut. The authors rank while they train, in training mode, a few channels at a
    time with a moving average; here the gradients are those of the calibration images in evaluation mode.
    """

    gate: Literal["norm", "weights"] = "norm"
    """Where the gate is: behind the batch norm, or one on every weight of the filter, sum of (weight x gradient)^2."""

    scope: ChannelScope = "global"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "none"
    """What divides scores before layers compete: nothing, their layer's mean, or its L2 norm."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = squared_changes(net, self.gate)
        return Channels(keep_channels(net, scores, sparsity, self.scope, self.round_to, self.normalise))


def squared_changes(net: Net, gate: str) -> dict[str, Tensor]:
    """By group [width]: the mean over batches of the squared first-order change of the loss without a channel."""
    groups, scores = net.groups(), zero_scores(net)
    parts = {group.name: gated(net, group, gate) for group in groups}
    names = dict.fromkeys(part.tensor for found in parts.values() for part in found)
    for gradients in net.gradients_of(names):
        change = {n: (net.model.get_parameter(n).detach() * g).float() for n, g in gradients.items()}
        for name, found in parts.items():
            if gate == "weights":
                squared = torch.stack([part.sums(change[part.tensor].square()) for part in found]).sum(0)
            else:
                layers = len({part.layer for part in found})
                squared = torch.stack([part.sums(change[part.tensor]) for part in found]).sum(0).square() / layers
            scores[name] += squared / len(net.batches)
    return scores


def gated(net: Net, group: Group, gate: str) -> Sequence[Slice]:
    """The tensors whose gradients are those of a group's gate.

    Raises:
        TrialError: there are none, as where a recurrent layer alone makes the channels.
    """
    norms = [name for name in group.norms if isinstance(net.model.get_submodule(name), nn.modules.batchnorm._BatchNorm)]
    if gate == "norm" and norms:
        return [part for part in group.slices if part.layer in norms and part.own in ("weight", "bias")]
    own = ("weight",) if gate == "weights" else ("weight", "bias")
    found = [part for part in group.slices if part.role == "makes" and part.own in own]
    return found or weights_of(group, net.layers(), "makes")
