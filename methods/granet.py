import math

import torch

from prunetui.api import (
    Masks,
    Net,
    Part,
    Positive,
    Scope,
    Share,
    Training,
    dataclass,
    exchanged,
    keep_erk,
    keep_top,
    register,
)

LEAST = 0.005
"""Share that is still exchanged at the end of the training, as in the authors' code."""


@register("granet", source="Liu et al. 2021, GraNet, arXiv:2106.10404", schedules=("during-training",))
@dataclass(frozen=True)
class GraNet:
    """Train ever more sparsely along a cubic; the smallest weights make room where the gradient is largest.

    Every so many steps of the optimiser weights are pruned by magnitude down to s = s_f + (s_i - s_f) (1 - t)^3, t in
    [0, 1] over the part `until` of the training (Zhu & Gupta's curve), then a share of each layer's weights is
    exchanged: the smallest for those of the largest gradient, which start at zero. That share falls along a cosine
    over the whole training. Sparsities are of the weights that may be pruned, [out, in, k, k] or [out, in]. Where we
    depart: exact counts instead of thresholds; at least ten times before `until` in a short training; the first
    batch's gradient is still that of the dense net; and a weight that one step prunes and grows keeps its momentum.
    """

    initial: Part = 0.5
    """Sparsity at first, of random masks, by Erdos-Renyi-kernel densities if `scope` is global; 0: the dense net."""

    fraction: Share = 0.5
    """Share of a layer's weights that is exchanged at first."""

    every: Positive = 1000
    """Steps of the optimiser between two prunings."""

    until: Share = 0.7
    """Part of the training after which the sparsity is reached; exchanges go on to the end."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer (the authors' GraNet_uniform)."""

    def during_training(self, training: Training, sparsity: float) -> None:
        if training.batch == 0:
            random = training.generator
            chance = {n: torch.rand(w.shape, generator=random).to(w.device) for n, w in training.parameters().items()}
            start = self._start(training, sparsity)
            alike = self.scope == "local"  # budgets of layers that are thinner than the end would never come back
            kept = keep_top(chance, start, "local", training) if alike else keep_erk(training, chance, start)
            training.masks.update(kept)

    def after_step(self, training: Training, sparsity: float) -> None:
        steps = training.batch + 1
        if training.is_last:
            training.lift_masks()  # the zeros stay; prune takes them
        elif steps % min(self.every, max(1, int(self.until * training.total / 10))) == 0:
            self._prune_and_grow(training, sparsity, steps / training.total)

    def _prune_and_grow(self, training: Training, sparsity: float, progress: float) -> None:
        start, left = self._start(training, sparsity), (1 - min(1.0, progress / self.until)) ** 3
        weights = {name: w for name, w in training.parameters().items() if name in training.masks}
        scores = {name: w.abs() for name, w in weights.items()}
        keep = keep_top(scores, sparsity + (start - sparsity) * left, self.scope, training.masks, training.floor)
        share = LEAST + (self.fraction - LEAST) / 2 * (1 + math.cos(math.pi * progress))
        for name, w in weights.items():
            w *= keep[name]
            grow = w.abs() if w.grad is None else w.grad.abs()
            may = training.held.get(name)
            training.masks[name] = exchanged(keep[name], w.abs(), grow, share, may)

    def _start(self, training: Training, sparsity: float) -> float:
        return max(training.gone, min(self.initial, sparsity))

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_top({n: w.abs() for n, w in net.weights().items()}, sparsity, self.scope, within=net))
