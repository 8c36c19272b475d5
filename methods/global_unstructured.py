from prunetui.api import Masks, Net, dataclass, keep_top, register


@register(
    "global-unstructured",
    source="Han et al. 2015, arXiv:1506.02626; torch.nn.utils.prune.global_unstructured",
)
@dataclass(frozen=True)
class GlobalUnstructured:
    """Zero the smallest weights of the whole net (global magnitude pruning)."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, "global", within=net))
