from prunetui.api import Budget, Masks, Net, dataclass, keep_within, register, weights_kept


@register("l1-unstructured", source="Han et al. 2015, arXiv:1506.02626; torch.nn.utils.prune.l1_unstructured")
@dataclass(frozen=True)
class L1Unstructured:
    """Zero the smallest weights of each layer, the same share everywhere unless `budget` says otherwise."""

    budget: Budget = "uniform"
    """Layers alike, or denser by their shape (erk), their outliers (owl) or the tail of their spectrum (alpha)."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs().float() for name, w in net.weights().items()}
        kept = weights_kept(net, scores, sparsity, self.budget) if self.budget != "uniform" else None
        return Masks(keep_within(net, scores, sparsity, kept))
