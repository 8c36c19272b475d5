import torch
from torch import Tensor, nn

from prunetui.api import (
    Count,
    Factor,
    Literal,
    Modules,
    Net,
    Shared,
    TrialError,
    cluster_filters,
    dataclass,
    filter_weights,
    filters_kept,
    register,
)  # fmt: skip


@register(
    "kmeans-shared",
    source="k-means over filters after Wu et al. 2018, Deep k-Means, arXiv:1806.09228",
    schedules=("one-shot", "lr-rewinding"),
)
@dataclass(frozen=True)
class KMeansShared:
    """Cluster the filters of every convolution but the first; outputs of a cluster share its mean filter.

    A layer of C outputs computes floor(C (1 - sparsity)) filters and repeats them by label, so that later layers
    keep their shape. The paper clusters rows of kernels while it trains; here whole filters, once. By default it is
    their directions that are clustered, for a batch norm undoes the scale of a filter.
    """

    unit_norm: bool = True
    """Cluster filters scaled to unit norm where a batch norm follows, whose statistics restore the scale."""

    weighting: Literal["none", "norm", "svd"] = "norm"
    """How much a filter counts: the same, its L2 norm, or its energy in the layer's leading singular directions."""

    pca: Factor = 0.0
    """Cluster in the principal components that explain this fraction of the variance; 0 is off."""

    round_to: Count = 1
    """Numbers of filters become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Modules:
        norms = net.norms() if self.unit_norm else {}
        shared = {}
        moved: dict[str, Tensor] = {}
        for name, filters in block_convolutions(net).items():
            scale = norms_of(filters) if name in norms else torch.ones(len(filters), 1, 1, 1)
            directions = filters / scale.clamp_min(1e-12)
            count = filters_kept(net, name, sparsity, self.round_to)
            weights = filter_weights(filters, self.weighting)
            clusters = cluster_filters(directions, count, net.generator, self.pca, weights)
            means = clusters.means(directions) * clusters.means(scale)  # as long as before: learning rates still fit
            shared[name] = Shared(means, clusters.labels)
            if name in norms:
                moved |= rescaled(net, norms[name], filters, means[clusters.labels])
        return Modules(shared, moved)


def block_convolutions(net: Net) -> dict[str, Tensor]:
    """Weights [out, in, k, k] of all prunable convolutions but the first, in float64 on the CPU.

    Only those without groups and bias can share filters; others stay as they are.
    """
    first, layers = net.first_convolution(), net.layers()
    convolutions = [name for name in layers if name != first and _is_plain(layers[name])]
    if not convolutions:
        raise TrialError("kmeans-shared shares filters of convolutions without groups and bias, and there are none")
    return {name: net.weights()[name].cpu().double() for name in convolutions}


def _is_plain(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.bias is None


def norms_of(filters: Tensor) -> Tensor:
    """The L2 norm of each filter: [out, 1, 1, 1]."""
    return filters.square().sum((1, 2, 3), keepdim=True).sqrt()


def rescaled(net: Net, norm: str, filters: Tensor, shared: Tensor) -> dict[str, Tensor]:
    """The statistics of a batch norm whose input was made by ``filters`` and is now made by ``shared``.

    Along its own filter an output is a = <filter, shared> / |shared|^2 times the shared one, so its mean is divided
    by a and its variance by a^2. A filter that its cluster does not stand for (a <= 0) is muted, not inverted.
    """
    layer = net.model.get_submodule(norm)
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    times = (filters * shared).sum((1, 2, 3)) / shared.square().sum((1, 2, 3)).clamp_min(1e-12)
    times = times.clamp_min(1e-2)
    variance = (layer.running_var.cpu().double() + layer.eps) / times.square() - layer.eps
    return {
        f"{norm}.running_mean": layer.running_mean.cpu().double() / times,
        f"{norm}.running_var": variance.clamp_min(0),
    }
