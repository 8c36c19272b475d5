from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from prunetui.api import (
    Channels,
    Clusters,
    Count,
    Factor,
    Group,
    Literal,
    Net,
    TrialError,
    channel_widths,
    cluster_filters,
    dataclass,
    feature_maps,
    filter_weights,
    register,
)

State = dict[str, Tensor]
QUIET = 1e-3
"""Of the longest map: shorter ones are not brought to the same length as the others."""


@register(
    "kmeans-merge",
    source="k-means and merging as in Ding et al. 2019, Centripetal SGD, arXiv:1904.03837, without its training",
    family="sharing",
    targets=("channels",),
    schedules=("one-shot", "lr-rewinding"),
)
@dataclass(frozen=True)
class KMeansMerge:
    """Cluster the channels inside each block and merge those of a cluster; what reads them adds up their weights.

    Only channels of a single convolution, not the first: those of a residual stream are made by several. Merging
    equal channels changes nothing. The paper clusters filters; by default we cluster the maps that channels show
    after the ReLU, brought to the same length, as a later layer undoes any positive factor.
    """

    cluster: Literal["maps", "filters"] = "maps"
    """Cluster the directions of maps on calibration images, or raw filters."""

    weighting: Literal["readers", "none", "norm", "svd"] = "readers"
    """How much a channel counts: the squared weights that read it, the same, its filter's L2 norm, or its filter's
    energy in the layer's leading singular directions; times its squared map where directions of maps are clustered."""

    consumer: Literal["sum", "first", "mean"] = "sum"
    """What the next layer reads a merged channel with: the sum, the first or the mean of its weights."""

    norm: Literal["merge", "reset"] = "merge"
    """Merge the batch norm between, or start it afresh."""

    pca: Factor = 0.0
    """Cluster in the principal components that explain this fraction of the variance; 0 is off."""

    round_to: Count = 1
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        first, products = net.first_convolution(), map_products(net)
        single = [group for group in net.groups() if group.producers != (first,) and _is_single(group, net)]
        groups = [group for group in single if _one_column_each(group, net)]
        if not groups:
            raise TrialError("kmeans-merge merges channels that one layer alone makes, and no groups are such")
        widths = channel_widths(net, groups, sparsity, self.round_to)
        state = {name: tensor.detach().cpu().double() for name, tensor in net.model.state_dict().items()}
        keep, moved = {}, State()
        for group in groups:
            filters, energy = state[f"{group.producers[0]}.weight"], products[group.name].diagonal()
            points, length = filters, torch.ones_like(energy)
            if self.cluster == "maps":
                length = (energy / energy.max().clamp_min(1e-300)).sqrt().clamp_min(QUIET)
                points = coordinates(products[group.name] / torch.outer(length, length))
            read = torch.stack([_slices(state, name).flatten(1).square().sum(1) for name in group.consumers]).sum(0)
            counts = filter_weights(filters, self.weighting, read) * length.square()
            clusters = cluster_filters(points, widths[group.name], net.generator, self.pca, counts)
            scale = length / clusters.means(length)[clusters.labels]
            merged = self._produced(net, group, clusters, scale, state) | self._read(group, clusters, scale, state)
            keep[group.name] = clusters.firsts()
            state |= merged  # a layer may lose inputs with one group and outputs with another
            moved |= merged
        return Channels(keep, moved)

    def _produced(self, net: Net, group: Group, clusters: Clusters, scale: Tensor, state: State) -> State:
        """The merged filters and batch norm: the mean over a cluster of what filter and norm compute, over ``scale``.

        A merged gamma is the mean |gamma|: with statistics estimated anew, a channel has the spread of those it stands
        for, of which their mean has less.
        """
        maker = group.producers[0]
        made = {name: state[name] for name in (f"{maker}.weight", f"{maker}.bias") if name in state}
        if not group.norms:
            return {name: clusters.means(tensor / _along(scale, tensor)) for name, tensor in made.items()}
        name = group.norms[0]
        gamma, beta, mean, var = (state[f"{name}.{t}"] for t in ("weight", "bias", "running_mean", "running_var"))
        if self.norm == "reset":
            one, zero = torch.ones(len(clusters)), torch.zeros(len(clusters))
            fresh = {"weight": one, "bias": zero, "running_mean": zero, "running_var": one}
            merged = {n: clusters.means(tensor) for n, tensor in made.items()}
            return merged | {f"{name}.{t}": value for t, value in fresh.items()}
        eps = float(net.model.get_submodule(name).eps)  # type: ignore[arg-type]
        sigma = (var + eps).sqrt()
        spread, sigmas = clusters.means(gamma.abs() / scale), clusters.means(sigma)

        def merge(tensor: Tensor) -> Tensor:
            shown = clusters.means(tensor * _along(gamma / sigma / scale, tensor))
            return shown * _along(sigmas / spread.clamp_min(1e-12), shown)

        return {n: merge(tensor) for n, tensor in made.items()} | {
            f"{name}.weight": spread,
            f"{name}.bias": clusters.means(beta / scale),
            f"{name}.running_mean": merge(mean),
            f"{name}.running_var": (sigmas.square() - eps).clamp_min(0),
        }

    def _read(self, group: Group, clusters: Clusters, scale: Tensor, state: State) -> State:
        """The weights of the layers that read the merged channels."""
        found = {}
        for reader in group.consumers:
            slices = _slices(state, reader)
            summed = clusters.sums(slices * _along(scale, slices))
            members = _along(clusters.labels.bincount(), slices)
            read = {"sum": summed, "mean": summed / members, "first": slices[clusters.firsts()]}
            found[f"{reader}.weight"] = read[self.consumer].transpose(0, 1)
        return found


def map_products(net: Net) -> dict[str, Tensor]:
    """Products of each two of a group's maps after the ReLU, summed over calibration images and places: [C, C]."""
    total: dict[str, Tensor] = {}
    for maps in feature_maps(net):
        for name, m in maps.items():
            rows = m.transpose(0, 1).flatten(1).float()
            total[name] = total.get(name, 0) + (rows @ rows.T).cpu().double()
    return total


def coordinates(products: Tensor) -> Tensor:
    """Points [C, C] with these inner products: k-means needs no more of the maps than their distances."""
    values, vectors = torch.linalg.eigh(products)
    points: Tensor = vectors * values.clamp_min(0).sqrt()
    return points


def _is_single(group: Group, net: Net) -> bool:
    """Whether one layer makes the group, all its outputs in order, and one batch norm at most scales it."""
    made = [part for part in group.slices if part.role == "makes"]
    scaled = [net.model.get_submodule(name) for name in group.norms]
    return (
        len(group.producers) == 1
        and group.producers[0] in net.layers()
        and all(part.own in ("weight", "bias") and part.dimension == 0 and part.in_order for part in made)
        and len(net.weights()[group.producers[0]]) == group.width
        and len(scaled) <= 1
        and all(isinstance(norm, _BatchNorm) and norm.affine and norm.track_running_stats for norm in scaled)
    )


def _one_column_each(group: Group, net: Net) -> bool:
    """Whether what reads the group reads nothing else, each channel with one column: no flattened maps."""
    parts, weights = [part for part in group.slices if part.role == "reads"], net.weights()
    return all(
        part.own == "weight"
        and part.dimension == 1
        and part.in_order
        and part.layer in weights
        and weights[part.layer].shape[1] == group.width
        for part in parts
    )


def _slices(state: State, reader: str) -> Tensor:
    """A layer's weights by the channel they read: [in, out, ...]."""
    return state[f"{reader}.weight"].transpose(0, 1)


def _along(values: Tensor, tensor: Tensor) -> Tensor:
    """``values`` [C] shaped to multiply ``tensor`` [C, ...]."""
    return values.view(-1, *[1] * (tensor.dim() - 1))
