from prunetui.api import Masks, Net, Scope, dataclass, keep_top, register


@register("snip", source="Lee et al. 2019, arXiv:1810.02340", schedule="at-init")
@dataclass(frozen=True)
class Snip:
    """Zero the connections that the loss is least sensitive to, at initialisation unless asked otherwise.

    The paper's c_j = |dL/dc_j| / sum_k |dL/dc_k| with dL/dc = weight x gradient: after division by a common sum the
    order is that of |weight x gradient|. The paper takes one batch; here it is all calibration images.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        with net.gradients() as grads:
            sensitivity = {name: (w * grads[name]).abs() for name, w in net.weights().items()}
        return Masks(keep_top(sensitivity, sparsity, self.scope, within=net))
