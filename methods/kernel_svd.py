import torch
from torch import Tensor

from prunetui.api import Literal, Masks, Net, Scope, dataclass, keep_top_kernels, kernels_of, register, weights_left


@register(
    "kernel-svd", source="kernels as in Mao et al. 2017, arXiv:1705.08922; weighed by singular values", family="kernels"
)
@dataclass(frozen=True)
class KernelSvd:
    """Zero whole k x k kernels, those with the smallest singular values.

    The nuclear norm (their sum) counts every direction of a kernel, the spectral norm (the largest) only its
    strongest. Kernels of n weights and at most r singular values compare in units of an average weight: nuclear
    norm / sqrt(r n), which is the root mean square of a kernel whose singular values are equal, and spectral
    norm / sqrt(n), which is that of a kernel of rank one. A 1x1 or linear weight scores its magnitude.
    """

    norm: Literal["nuclear", "spectral"] = "nuclear"
    """Sum of a kernel's singular values, or the largest of them."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        left = weights_left(net)
        scores = {}
        for name, kernels in kernels_of(net).items():
            values = singular_values(kernels)
            size = left[name].clamp_min(1)
            nuclear = self.norm == "nuclear"
            scores[name] = values.sum(2) / (values.shape[2] * size).sqrt() if nuclear else values[..., 0] / size.sqrt()
        return Masks(keep_top_kernels(net, scores, sparsity, self.scope))


def singular_values(kernels: Tensor) -> Tensor:
    """Of kernels [out, in, k, k], descending: [out, in, k]. A single weight needs no decomposition."""
    return kernels.abs().flatten(2) if kernels.shape[2:] == (1, 1) else torch.linalg.svdvals(kernels)
