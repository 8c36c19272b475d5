from prunetui.api import Literal, Masks, Net, Scope, dataclass, keep_top_kernels, kernels_of, register, weights_left


@register("kernel-norm", source="Mao et al. 2017, arXiv:1705.08922 (kernel-level granularity)", family="kernels")
@dataclass(frozen=True)
class KernelNorm:
    """Zero whole k x k kernels, those with the smallest norm.

    Kernels of different sizes compare by the norm of an average weight: the mean |w| (l1) or the root of the mean
    w^2 (l2) over the weights that are left of the kernel. A 1x1 or linear weight is a kernel of its own. The paper
    ranks within each layer by the sum of |w|; so do ``scope = "local"`` and ``norm = "l1"``.
    """

    norm: Literal["l1", "l2"] = "l2"
    """Norm of a kernel."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        power = {"l1": 1, "l2": 2}[self.norm]
        left = weights_left(net)
        scores = {
            name: (kernels.abs().pow(power).sum((2, 3)) / left[name].clamp_min(1)).pow(1 / power)
            for name, kernels in kernels_of(net).items()
        }
        return Masks(keep_top_kernels(net, scores, sparsity, self.scope))
