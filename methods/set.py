import torch

from prunetui.api import Masks, Net, Share, Training, dataclass, exchanged, keep_erk, register


@register("set", source="Mocanu et al. 2018, Sparse Evolutionary Training, arXiv:1707.04780", schedules=("dynamic",))
@dataclass(frozen=True)
class SparseEvolutionaryTraining:
    """Train sparsely from the start; every so often the smallest weights make room for random others.

    Starts from random masks with Erdos-Renyi-kernel layer densities (the paper's rule, for convolutions). The paper
    drops the smallest positive and largest negative weights and leaves the last epoch alone; we drop by magnitude.
    """

    fraction: Share = 0.3
    """Share of a layer's weights that is exchanged each time."""

    until: Share = 0.75
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
                training.masks[name] = exchanged(training.masks[name], weight.abs(), chance, self.fraction)
