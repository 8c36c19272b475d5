import torch

from prunetui.api import Masks, Net, Positive, Scope, dataclass, keep_scored, register


@register("taylor", source="Molchanov et al. 2019, arXiv:1906.10771", targets=("sparsity", "pattern"))
@dataclass(frozen=True)
class Taylor:
    """Zero the weights whose removal changes the loss least, to first order.

    (weight x gradient) squared, averaged over batches as in the paper's implementation; there it scores whole
    filters (``taylor-structured``), here single weights.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights = net.weights()
        scores = {name: torch.zeros_like(w, dtype=torch.float32) for name, w in weights.items()}
        for grads in net.batch_gradients():
            for name, w in weights.items():
                scores[name] += (w * grads[name]).float().square()
        return Masks(keep_scored(net, scores, sparsity, self.scope, self.n, self.m))
