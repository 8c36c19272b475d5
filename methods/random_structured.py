import torch

from prunetui.api import Channels, Count, Net, dataclass, keep_channels, register


@register("random-structured", source="torch.nn.utils.prune.random_structured")
@dataclass(frozen=True)
class RandomStructured:
    """Remove channels drawn at random, from every layer coupled to them.

    ``torch.nn.utils.prune`` only masks one layer's filters; here they are physically removed.
    """

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = {group.name: torch.rand(group.width, generator=net.generator) for group in net.groups()}
        return Channels(keep_channels(net, scores, sparsity, "local", self.round_to))
