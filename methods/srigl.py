import math

import torch
from torch import Tensor

from prunetui.api import Masks, Net, Part, Positive, Share, Training, dataclass, keep_erk, register


@register(
    "srigl",
    source="Lasby et al. 2023, Dynamic Sparse Training with Structured Sparsity, arXiv:2305.02299",
    schedules=("dynamic",),
)
@dataclass(frozen=True)
class StructuredRigL:
    """RigL in which all neurons of a layer read equally many inputs, and neurons with few salient weights go whole.

    At an exchange a layer keeps its largest weights and finds the largest gradients, as many as it drops: these are
    salient. Neurons (rows of [out, in x k x k]) that have fewer than `salient` x the layer's fan-in are ablated; the
    others keep their largest weights and grow those of their largest gradient up to the fan-in that is then
    everybody's. An ablated neuron comes back when its gradients are salient. Schedule and budgets are those of `rigl`,
    and no neuron of the last layer that may be pruned goes; what is kept is chosen before neurons are ablated. Where we
    depart: fan-ins differ by one where a layer's budget is no multiple of its neurons, so that the number of weights is
    exact; more than a neuron's share of large weights is cut from the smallest, which the authors cut by position; and
    weights that come with a network may leave fewer than that share.
    """

    fraction: Share = 0.3
    """Share of a layer's weights that is exchanged at first."""

    every: Positive = 100
    """Batches between two exchanges; at least one an epoch."""

    until: Share = 0.75
    """Part of the training after which masks stay."""

    salient: Part = 0.3
    """Share of the fan-in that must be salient for a neuron to stay; 0 ablates none."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        chance = {n: torch.rand(w.shape, generator=net.generator).to(w.device) for n, w in net.weights().items()}
        budgets = {name: int(keep.sum()) for name, keep in keep_erk(net, chance, sparsity).items()}
        held = {name: net.masks.get(name, torch.ones_like(c, dtype=torch.bool)) for name, c in chance.items()}
        rows, left = net.by_output(chance), net.by_output(held)
        keep = {}
        for name, row in rows.items():
            score = row.masked_fill(~left[name], -1).flatten(1)
            fan_in = even_fan_in(left[name].flatten(1).sum(1), score.amax(1), budgets[name])
            keep[name] = (ranks(score) < fan_in[:, None]).view(row.shape)
        return Masks(net.as_weights(keep))

    def during_training(self, training: Training) -> None:
        every = min(self.every, training.batches)
        if training.batch == 0 or training.batch % every or training.progress >= self.until:
            return
        share = self.fraction / 2 * (1 + math.cos(math.pi * training.progress / self.until))
        weights = {name: w for name, w in training.parameters().items() if name in training.masks}
        masks, last = training.by_output(training.masks), [*training.layers()][-1]
        gradients = training.by_output({name: w.grad for name, w in weights.items() if w.grad is not None})
        rows = training.by_output(weights)
        moved = {}
        for name, gradient in gradients.items():
            need = 0.0 if name == last else self.salient
            mask, weight, grown = (t.flatten(1) for t in (masks[name], rows[name].abs(), gradient.abs()))
            moved[name] = rewired(mask, weight, grown, share, need).view(gradient.shape)
        training.masks.update(training.as_weights(moved))
        for parameter in training.model.parameters():
            parameter.grad = None


def rewired(mask: Tensor, weight: Tensor, gradient: Tensor, share: float, salient: float) -> Tensor:
    """A mask [out, inputs] of the same size and even fan-in, by magnitudes of weights and of gradients."""
    count = int(mask.sum())
    drop = int(share * count)
    stay = highest(weight.masked_fill(~mask, -1), count - drop)
    found = (stay | highest(gradient, drop)).sum(1)
    least = max(1, int(salient * count / len(mask))) if salient else 0
    needed = math.ceil(count / mask.shape[1])  # neurons that can hold as many weights
    active = (found >= least) | highest(found[None], needed)[0]
    fan_in = even_fan_in(active * mask.shape[1], found, count)
    kept = ranks(weight.masked_fill(~stay, -1)) < torch.minimum(stay.sum(1), fan_in)[:, None]
    return kept | (ranks(gradient.masked_fill(kept, -1)) < (fan_in - kept.sum(1))[:, None])


def even_fan_in(most: Tensor, score: Tensor, count: int) -> Tensor:
    """How many weights each neuron has [out], ``count`` in all: equally many, but no more than ``most`` of it.

    What does not come out even the neurons of the highest ``score`` have.
    """
    levels = torch.arange(int(most.max()) + 1, device=most.device)
    level = int((torch.minimum(most[:, None], levels).sum(0) < count).sum())
    fan_in = most.clamp(max=level)
    surplus = int(fan_in.sum()) - count
    lowest = score.float().masked_fill(fan_in < level, torch.inf).argsort()[:surplus]
    fan_in[lowest] -= 1
    return fan_in


def highest(scores: Tensor, count: int) -> Tensor:
    """The ``count`` highest of all."""
    keep = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    keep[scores.flatten().topk(count).indices] = True
    return keep.view(scores.shape)


def ranks(scores: Tensor) -> Tensor:
    """The place of each score in its row, from 0 for the highest."""
    return scores.argsort(1, descending=True).argsort(1)
