from prunetui.api import Masks, Net, dataclass, keep_above, register


@register("threshold", source="Han et al. 2015, arXiv:1506.02626", targets=("threshold",))
@dataclass(frozen=True)
class Threshold:
    """Zero every weight whose magnitude is at or below an absolute threshold.

    The study's values are thresholds here, not fractions; the sparsity that follows is reported.
    """

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs() for name, w in net.weights().items()}
        return Masks(keep_above(scores, sparsity, within=net))
