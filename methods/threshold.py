from prunetui.api import Literal, Masks, Net, dataclass, keep_above, register


@register("threshold", source="Han et al. 2015, arXiv:1506.02626", targets=("threshold",))
@dataclass(frozen=True)
class Threshold:
    """Zero every weight whose magnitude is at or below a threshold.

    The study's values are thresholds here, not fractions; the sparsity that follows is reported. Han et al. set the
    threshold of a layer to a quality parameter times the standard deviation of its weights: `unit = "deviation"`.
    """

    unit: Literal["absolute", "deviation"] = "absolute"
    """What a value is: a magnitude, or a number of standard deviations of the layer's weights that are left."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs() for name, w in net.weights().items()}
        if self.unit == "deviation":
            for name, w in net.weights().items():
                left = w[net.masks[name]] if name in net.masks else w
                scores[name] = scores[name] / left.float().std(correction=0).clamp_min(1e-12)
        return Masks(keep_above(scores, sparsity, within=net))
