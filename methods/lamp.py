import torch

from prunetui.api import Masks, Net, dataclass, keep_top, register


@register("lamp", source="Lee et al. 2021, arXiv:2010.07611")
@dataclass(frozen=True)
class Lamp:
    """Zero the weights with the smallest layer-adaptive magnitude: global pruning without hand-set layer budgets.

    The score of a weight is w^2 / sum of v^2 over all weights v of its layer that are at least as large. The paper
    ranks all layers; here those that the study's rules let go (`[layers] first = "prune"`, `last = "prune"` for all).
    """

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {}
        for name, w in net.weights().items():
            squares, order = w.flatten().double().square().sort(descending=True)
            scores[name] = torch.empty_like(squares)
            scores[name][order] = squares / squares.cumsum(0).clamp_min(1e-300)
            scores[name] = scores[name].view(w.shape)
        return Masks(keep_top(scores, sparsity, "global", within=net))
