"""Which filters of a layer are alike: k-means, for methods that share or merge filters.

Everything here is float64 on the CPU: layers have tens to hundreds of filters, and the mean of equal filters must
be that filter to the last bit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunetui.errors import TrialError

LEADING_ENERGY = 0.5
"""Singular directions of a layer that together hold this share of its energy are its leading ones."""
LEAST_WEIGHT = 1e-6
"""Of the largest sample weight: what a filter of zeros weighs, so that a cluster of zeros has a mean."""


@dataclass(frozen=True)
class Clusters:
    """A layer's filters by cluster: filter i is in cluster ``labels[i]`` and counts ``weights[i]`` in its mean.

    Clusters are numbered in the order of their first filters.
    """

    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return int(self.labels.max()) + 1

    def sums(self, values: Tensor) -> Tensor:
        """The sum of ``values`` [C, ...] over each cluster: [k, ...], float64."""
        values = values.detach().cpu().double()
        return values.new_zeros(len(self), *values.shape[1:]).index_add_(0, self.labels, values)

    def means(self, values: Tensor) -> Tensor:
        """The weighted mean of ``values`` [C, ...] over each cluster: [k, ...], float64."""
        weights = self.weights.view(-1, *[1] * (values.dim() - 1))
        return self.sums(values.detach().cpu().double() * weights) / self.sums(weights)

    def firsts(self) -> Tensor:
        """Which filters are the first of their cluster: bool [C], k of them in the order of the clusters."""
        highest = self.labels.cummax(0).values
        return torch.cat([highest[:1] >= 0, highest[1:] > highest[:-1]])


def cluster_filters(
    points: Tensor, count: int, generator: torch.Generator, pca: float = 0.0, weights: Tensor | None = None
) -> Clusters:
    """Exactly ``count`` clusters of ``points`` [C, ...], by k-means.

    ``pca`` clusters in the space of the principal components that explain this fraction of the variance; 0 is off.

    Raises:
        TrialError: ``pca`` is no fraction, or a point is not finite.
    """
    if not 0 <= pca <= 1:
        raise TrialError(f"pca is the fraction of variance that is kept, from 0 to 1; got {pca:g}")
    points = points.detach().flatten(1).cpu().double()
    if not bool(points.isfinite().all()):
        raise TrialError("the weights are not finite: nothing can be clustered")
    weights = points.new_ones(len(points)) if weights is None else weights
    seed = int(torch.randint(2**31 - 1, (), generator=generator))  # drawn even where nothing is clustered
    if count >= len(points):
        return Clusters(torch.arange(len(points)), weights)
    labels = _k_means(principal_components(points, pca) if pca else points, count, seed, weights)
    return Clusters(_numbered(labels, count), weights)


def _k_means(points: Tensor, count: int, seed: int, weights: Tensor) -> np.ndarray:
    from sklearn.cluster import KMeans  # seconds to import, and few methods need it
    from sklearn.exceptions import ConvergenceWarning

    # "auto" is one start by k-means++: a tenth of the time of ten starts for 0.1 to 0.5 % more inertia.
    means = KMeans(count, n_init="auto", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct filters than clusters: see _numbered
        found: np.ndarray = means.fit(points.numpy(), sample_weight=weights.numpy()).labels_
    return found


def _numbered(labels: np.ndarray, count: int) -> Tensor:
    """Labels by order of first appearance, each of ``count`` used: equal filters may leave k-means clusters empty."""
    labels = labels.copy()
    for empty in set(range(count)) - set(labels.tolist()):
        largest = np.bincount(labels).argmax()
        labels[np.flatnonzero(labels == largest)[-1]] = empty
    number = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
    return torch.tensor([number[label] for label in labels.tolist()])


def principal_components(points: Tensor, share: float, centred: bool = True) -> Tensor:
    """``points`` [C, n] in their fewest principal components that hold ``share`` of the variance (or energy)."""
    left, values, _ = torch.linalg.svd(points - points.mean(0) if centred else points, full_matrices=False)
    energy = values.square().cumsum(0)
    leading = int((energy < (share - 1e-12) * energy[-1]).sum()) + 1
    found: Tensor = left[:, :leading] * values[:leading]
    return found


def filter_weights(filters: Tensor, weighting: str, readers: Tensor | None = None) -> Tensor:
    """How much each of ``filters`` [C, ...] counts: float64 [C], the largest 1.

    ``none``: all the same. ``norm``: their L2 norm. ``svd``: their energy in the leading singular directions of
    the layer's matrix [C, n], which are those that hold half of its energy. ``readers``: the values given.
    """
    rows = filters.detach().flatten(1).cpu().double()
    if weighting == "norm":
        weights = rows.square().sum(1).sqrt()
    elif weighting == "svd":
        weights = principal_components(rows, LEADING_ENERGY, centred=False).square().sum(1)
    else:
        weights = readers if weighting == "readers" and readers is not None else rows.new_ones(len(rows))
    return (weights / weights.max().clamp_min(1e-300)).clamp_min(LEAST_WEIGHT)
