import torch
from torch import Tensor

from prunetui.api import Literal, Masks, Net, Share, Training, dataclass, exchanged, keep_erk, register


@register("set", source="Mocanu et al. 2018, Sparse Evolutionary Training, arXiv:1707.04780", schedules=("dynamic",))
@dataclass(frozen=True)
class SparseEvolutionaryTraining:
    """Train sparsely from the start; every so often the smallest weights make room for random others.

    Starts from random masks with Erdos-Renyi-kernel layer densities (the paper's rule, for convolutions); the exchange
    is after every epoch but the last. The paper drops the same share of the positive and of the negative weights,
    those nearest to zero; `drop = "magnitude"` takes no account of signs, as later implementations do. There weights
    that grow start at random, here at zero, as in RigL's comparison with this method.
    """

    fraction: Share = 0.3
    """Share of a layer's weights that is exchanged each time."""

    drop: Literal["signs", "magnitude"] = "signs"
    """The smallest positive and the largest negative weights, a share of each, or the smallest of all."""

    until: Share = 1.0
    """Part of the training after which masks stay; before that they change once an epoch."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        chance = {n: torch.rand(w.shape, generator=net.generator).to(w.device) for n, w in net.weights().items()}
        return Masks(keep_erk(net, chance, sparsity))

    def during_training(self, training: Training) -> None:
        if training.batch == 0 or training.batch % training.batches or training.progress >= self.until:
            return
        for name, weight in training.parameters().items():
            if name in training.masks:
                chance = torch.rand(weight.shape, generator=training.generator).to(weight.device)
                stay = weight.abs() if self.drop == "magnitude" else within_sign(weight, training.masks[name])
                training.masks[name] = exchanged(training.masks[name], stay, chance, self.fraction)


def within_sign(weight: Tensor, mask: Tensor) -> Tensor:
    """The share of the kept weights of the same sign that are smaller in magnitude, in [0, 1)."""
    rank = torch.zeros_like(weight, dtype=torch.float32)
    for alike in (mask & (weight > 0), mask & (weight <= 0)):
        found = weight[alike].abs()
        rank[alike] = found.argsort().argsort() / max(1, len(found))
    return rank
