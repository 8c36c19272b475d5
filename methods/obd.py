from prunetui.api import Masks, Net, Scope, dataclass, keep_top, register


@register(
    "obd", source="LeCun et al. 1989, Optimal Brain Damage; diagonal Fisher as in Theis et al. 2018, arXiv:1801.05787"
)
@dataclass(frozen=True)
class OptimalBrainDamage:
    """Zero the weights whose removal raises the loss least, to second order with a diagonal Hessian.

    w^2 h / 2 with h from the diagonal of the empirical Fisher matrix; the paper computes the Hessian's own diagonal.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        curvature = net.fisher()
        scores = {name: w.square() * curvature[name] / 2 for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))
