import math

import torch

from prunetui.api import Masks, Net, Positive, Share, Training, dataclass, exchanged, keep_erk, register


@register("rigl", source="Evci et al. 2020, Rigging the Lottery, arXiv:1911.11134", schedules=("dynamic",))
@dataclass(frozen=True)
class RigL:
    """Train sparsely from the start; now and then the smallest weights make room where the gradient is largest.

    Starts from random masks with Erdos-Renyi-kernel layer densities. The share that is exchanged falls along a cosine
    from `fraction` to 0 at `until`; weights that grow start at zero. As published, a batch whose gradient decides what
    grows trains nothing: the exchange takes the place of the optimiser's step. The study's rules decide whether the
    first and the last layer are sparse too, as the paper has it.
    """

    fraction: Share = 0.3
    """Share of a layer's weights that is exchanged at first."""

    every: Positive = 100
    """Batches between two exchanges; at least one an epoch."""

    until: Share = 0.75
    """Part of the training after which masks stay."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        chance = {n: torch.rand(w.shape, generator=net.generator).to(w.device) for n, w in net.weights().items()}
        return Masks(keep_erk(net, chance, sparsity))

    def during_training(self, training: Training) -> None:
        every = min(self.every, training.batches)
        if training.batch == 0 or training.batch % every or training.progress >= self.until:
            return
        share = self.fraction / 2 * (1 + math.cos(math.pi * training.progress / self.until))
        for name, weight in training.parameters().items():
            if name in training.masks and weight.grad is not None:
                training.masks[name] = exchanged(training.masks[name], weight.abs(), weight.grad.abs(), share)
        for parameter in training.model.parameters():
            parameter.grad = None
