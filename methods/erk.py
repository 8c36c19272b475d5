import torch
from torch import Tensor

from prunetui.api import Masks, Net, dataclass, keep_top, register


@register("erk", source="Evci et al. 2020, RigL, arXiv:1911.11134 (Erdos-Renyi-Kernel budgets); Mocanu et al. 2018")
@dataclass(frozen=True)
class ErdosRenyiKernel:
    """Zero the smallest weights of each layer, with layer densities that grow as the layer's sides shrink.

    The density of a layer [out, in, k, k] is proportional to (out + in + k + k) / (out * in * k * k); layers that would
    exceed 1 stay dense and the others share the rest.
    """

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights = net.weights()
        budgets = erk_budgets({name: tuple(w.shape) for name, w in weights.items()}, sparsity)
        return Masks(keep_top(_by_budget(weights, budgets, net), sparsity, "global", within=net.masks, floor=net.floor))


def erk_budgets(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """How many weights each layer keeps; they add up to the net's budget."""
    sizes = {name: float(torch.Size(shape).numel()) for name, shape in shapes.items()}
    raw = {name: float(sum(shape)) for name, shape in shapes.items()}  # size x raw density
    dense: set[str] = set()
    while True:
        left = (1 - sparsity) * sum(sizes.values()) - sum(sizes[name] for name in dense)
        scale = left / max(sum(raw[name] for name in raw if name not in dense), 1e-12)
        full = {name for name in raw if name not in dense and scale * raw[name] > sizes[name]}
        if not full:
            return {name: sizes[name] if name in dense else scale * raw[name] for name in raw}
        dense |= full


def _by_budget(weights: dict[str, Tensor], budgets: dict[str, float], net: Net) -> dict[str, Tensor]:
    """Scores whose global order is the order within each layer, measured in units of the layer's budget."""
    scores = {}
    for name, w in weights.items():
        magnitude = w.abs().float()
        if name in net.masks:
            magnitude = magnitude.masked_fill(~net.masks[name], -1)
        rank = torch.empty(w.numel(), device=w.device)
        order = magnitude.flatten().argsort(descending=True)
        rank[order] = torch.arange(w.numel(), device=w.device, dtype=torch.float32)
        scores[name] = (-(rank + 0.5) / max(budgets[name], 1e-12)).view(w.shape)
    return scores
