from prunetui.api import Masks, Net, Positive, Scope, dataclass, keep_scored, register


@register(
    "gradient",
    source="Blalock et al. 2020, arXiv:2003.03033 (global gradient magnitude)",
    targets=("sparsity", "pattern"),
)
@dataclass(frozen=True)
class Gradient:
    """Zero the weights with the smallest |weight x gradient|, the gradient averaged over the calibration images."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        with net.gradients() as grads:
            scores = {name: (w * grads[name]).abs() for name, w in net.weights().items()}
        return Masks(keep_scored(net, scores, sparsity, self.scope, self.n, self.m))
