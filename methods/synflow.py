import torch
from torch import Tensor

from prunetui.api import (
    Keep,
    Masks,
    Net,
    Positive,
    arguments_of,
    called_with,
    dataclass,
    keep_top,
    logits_of,
    mapped,
    register,
)


@register("synflow", source="Tanaka et al. 2020, arXiv:2006.05467", schedule="at-init")
@dataclass(frozen=True)
class SynFlow:
    """Zero the weights that carry the least synaptic flow; looks at no data, at initialisation unless asked otherwise.

    R is the summed output for an image of ones of the net with all parameters and statistics made positive; the score
    is weight x dR/dweight. Densities fall exponentially over the rounds, so that no layer collapses. Where words go in,
    they are those of a calibration example.
    """

    rounds: Positive = 100
    """Iterations; a single one would empty whole layers."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        total = sum(w.numel() for w in net.weights().values())
        start = 1 - sum(int((~mask).sum()) for mask in net.masks.values()) / total
        keep = net.masks
        for i in range(1, self.rounds + 1):
            density = start * ((1 - sparsity) / start) ** (i / self.rounds)
            keep = keep_top(synaptic_flow(net, keep), 1 - density, "global", within=net.with_masks(keep))
        return Masks(keep)


def synaptic_flow(net: Net, keep: Keep) -> dict[str, Tensor]:
    """The score of every weight in float64, where products over many layers do not overflow."""
    chosen = set(map(id, net.parameters().values()))  # a tensor may have several names
    every = [*net.model.named_parameters(), *net.model.named_buffers()]
    state = {n: t.detach().abs().double() for n, t in every if t.is_floating_point() and id(t) not in chosen}
    weights = {}
    for name, own in net.weights().items():
        weight = own.abs().double()
        weights[name] = (weight * keep[name] if name in keep else weight).requires_grad_()
    state |= {f"{name}.weight": weight for name, weight in weights.items()}
    inputs, named = arguments_of(mapped(net.task.inputs(net.batches[0]), _ones))
    with torch.enable_grad():
        flow = logits_of(called_with(net.model, state, inputs, named)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    return {name: w.detach() * g for (name, w), g in zip(weights.items(), gradients, strict=True)}


def _ones(tensor: Tensor) -> Tensor:
    """The first of a batch as ones, unless it counts something."""
    return torch.ones_like(tensor[:1], dtype=torch.float64) if tensor.is_floating_point() else tensor[:1]
