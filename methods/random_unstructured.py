import torch

from prunetui.api import Masks, Net, Scope, dataclass, keep_top, register


@register("random-unstructured", source="torch.nn.utils.prune.random_unstructured")
@dataclass(frozen=True)
class RandomUnstructured:
    """Zero weights drawn at random: the floor that every criterion must beat.

    Draws as ``torch.nn.utils.prune`` does (the largest of one uniform number a weight go), so the same
    generator gives the same masks.
    """

    scope: Scope = "local"
    """Draw across the whole net, or the same share of each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: -torch.rand(w.shape, generator=net.generator) for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))
