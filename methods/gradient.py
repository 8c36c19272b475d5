from prunetui.api import Masks, Net, Scope, dataclass, keep_top, register


@register("gradient", source="Blalock et al. 2020, arXiv:2003.03033 (global gradient magnitude)")
@dataclass(frozen=True)
class Gradient:
    """Zero the weights with the smallest |weight x gradient|, the gradient averaged over the calibration images."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        with net.gradients() as grads:
            scores = {name: (w * grads[name]).abs() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))
