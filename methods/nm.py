from prunetui.api import Masks, Net, Positive, dataclass, keep_pattern, register


@register(
    "nm",
    source="Mishra et al. 2021, arXiv:2104.08378",
    targets=("pattern",),
    schedules=("one-shot", "lottery-ticket", "lr-rewinding", "at-init"),
)
@dataclass(frozen=True)
class NM:
    """Keep the n largest of every m consecutive input channels, at each place of a kernel: 2:4 by default.

    GPUs with sparse tensor cores run 2:4 faster. The pattern decides the sparsity, 1 - n/m of every layer it fits;
    layers whose input channels are no multiple of m stay dense. By magnitude, once, then retraining with the masks
    held, as in the paper; the authors' library (apex) also permutes channels so that less is lost, and leaves out
    layers that are too small to gain, which we do not. By other scores: `wanda`, `dsnot`, `sparsegpt`, `taylor`,
    `gradient` and `obd` with the target `pattern`. Training towards the pattern is `sr-ste`.
    """

    n: Positive = 2
    """Weights kept of every m."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_pattern(net, {name: w.abs() for name, w in net.weights().items()}, self.n, self.m))
