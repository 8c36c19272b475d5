"""Layer budgets that look at the layers: how many weights each keeps, so that the net as a whole meets its sparsity."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from prunetui.api.layer_budgets import by_budget, erk_budgets
from prunetui.api.net import Net
from prunetui.api.options import Budget
from prunetui.api.selection import keep_top

OUTLIER = 5.0
"""A score of so many times its layer's mean is an outlier, as in OWL's experiments with LLaMA."""
OWL_SPREAD, ALPHA_SPREAD = 0.08, 0.2
"""How far densities lie from the mean at most (OWL's lambda), and sparsities by a factor (AlphaPruning for images)."""


def weights_kept(net: Net, scores: Mapping[str, Tensor], sparsity: float, budget: Budget) -> dict[str, float]:
    """How many weights each layer keeps.

    ``uniform`` is the same share of every layer, ``erk`` Erdos-Renyi-kernel densities (Evci et al. 2020,
    arXiv:1911.11134), ``owl`` denser layers where scores have more outliers (Yin et al. 2023, arXiv:2310.05175),
    ``alpha`` denser layers where the spectrum of ``net.weights()`` has a heavier tail (Lu et al. 2024,
    arXiv:2410.10912).
    """
    sizes = {name: float(score.numel()) for name, score in scores.items()}
    if budget == "erk":
        return erk_budgets({name: tuple(score.shape) for name, score in scores.items()}, sparsity)
    if budget == "owl":
        return owl_budgets({name: outlier_share(score) for name, score in scores.items()}, sizes, sparsity)
    if budget == "alpha":
        return alpha_budgets({name: tail_exponent(w) for name, w in net.weights().items()}, sizes, sparsity)
    return {name: (1 - sparsity) * size for name, size in sizes.items()}


def keep_within(
    net: Net, scores: Mapping[str, Tensor], sparsity: float, kept: Mapping[str, float] | None = None
) -> dict[str, Tensor]:
    """Keep the highest scores of each layer: the same share everywhere, or as many as ``kept`` says.

    Raises:
        TrialError: more is already gone, or the floors leave too little to remove.
    """
    if kept is None:
        return keep_top(scores, sparsity, "local", within=net)
    return keep_top(by_budget(scores, kept, net.masks), sparsity, "global", within=net)


def outlier_share(scores: Tensor) -> float:
    """The share of scores above ``OUTLIER`` times their mean."""
    return float((scores > OUTLIER * scores.mean()).float().mean())


def owl_budgets(outliers: Mapping[str, float], sizes: Mapping[str, float], sparsity: float) -> dict[str, float]:
    """The layer with the most outliers is denser than that with the fewest by twice ``OWL_SPREAD``."""
    low, high = min(outliers.values()), max(outliers.values())
    above = {name: 2 * OWL_SPREAD * (share - low) / max(high - low, 1e-12) for name, share in outliers.items()}
    mean = sum(above[name] * size for name, size in sizes.items()) / sum(sizes.values())
    return {name: min(1.0, max(0.0, above[name] - mean + 1 - sparsity)) * size for name, size in sizes.items()}


def tail_exponent(weight: Tensor) -> float:
    """Hill's estimate of the exponent at which the upper half of the squared singular values falls off.

    The weights [out, in, ...] of a convolution are a matrix [out, in] for each place of the kernel; all singular values
    count together, as in the authors' code.
    """
    matrices = weight.float().flatten(2).permute(2, 0, 1) if weight.dim() > 2 else weight.float()
    values = torch.linalg.svdvals(matrices).square().flatten().sort().values.clamp_min(1e-30)
    tail = values[len(values) // 2 :]
    return 1 + len(tail) / max(float((tail / tail[0]).log().sum()), 1e-12)


def alpha_budgets(tails: Mapping[str, float], sizes: Mapping[str, float], sparsity: float) -> dict[str, float]:
    """Sparsities rise with the exponent, from 1 - ``ALPHA_SPREAD`` to 1 + ``ALPHA_SPREAD`` times a common factor."""
    low, high = min(tails.values()), max(tails.values())
    raw = {n: 1 + ALPHA_SPREAD * (2 * (tail - low) / max(high - low, 1e-12) - 1) for n, tail in tails.items()}
    factor = sparsity * sum(sizes.values()) / sum(raw[name] * size for name, size in sizes.items())
    return {name: max(0.0, 1 - factor * raw[name]) * size for name, size in sizes.items()}
