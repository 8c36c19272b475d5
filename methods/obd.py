from prunetui.api import Masks, Net, Positive, Scope, dataclass, keep_scored, register


@register(
    "obd",
    source="LeCun et al. 1989, Optimal Brain Damage; diagonal Fisher as in Theis et al. 2018, arXiv:1801.05787",
    targets=("sparsity", "pattern"),
)
@dataclass(frozen=True)
class OptimalBrainDamage:
    """Zero the weights whose removal raises the loss least, to second order with a diagonal Hessian.

    w^2 h / 2 with h from the diagonal of the empirical Fisher matrix; the paper computes the Hessian's own diagonal.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        curvature = net.fisher()
        scores = {name: w.square() * curvature[name] / 2 for name, w in net.weights().items()}
        return Masks(keep_scored(net, scores, sparsity, self.scope, self.n, self.m))
