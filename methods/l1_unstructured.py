from prunetui.api import Masks, Net, dataclass, keep_top, register


@register("l1-unstructured", source="Han et al. 2015, arXiv:1506.02626; torch.nn.utils.prune.l1_unstructured")
@dataclass(frozen=True)
class L1Unstructured:
    """Zero the smallest weights of each layer, the same share everywhere."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, "local", within=net))
