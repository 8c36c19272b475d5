"""How many weights each layer keeps, and masks that move within such a budget."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def erk_budgets(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """How many weights each layer keeps by the Erdos-Renyi-kernel rule; they add up to the net's budget.

    The density of a layer [out, in, k, k] is proportional to (out + in + k + k) / (out * in * k * k); layers that would
    exceed 1 stay dense and the others share the rest (Evci et al. 2020, arXiv:1911.11134; Mocanu et al. 2018).
    """
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


def by_budget(
    scores: Mapping[str, Tensor], budgets: Mapping[str, float], within: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Scores whose global order is the order within each layer, measured in units of the layer's budget.

    What is not in ``within`` comes last in its layer.
    """
    ranked = {}
    for name, score in scores.items():
        flat = score.detach().float()
        if name in within:
            flat = flat.masked_fill(~within[name], -torch.inf)
        rank = torch.empty(flat.numel(), device=flat.device)
        order = flat.flatten().argsort(descending=True)
        rank[order] = torch.arange(flat.numel(), device=flat.device, dtype=torch.float32)
        ranked[name] = (-(rank + 0.5) / max(budgets[name], 1e-12)).view(score.shape)
    return ranked


def exchanged(mask: Tensor, stay: Tensor, grow: Tensor, share: float, may: Tensor | None = None) -> Tensor:
    """A mask of the same size in which a ``share`` of what was kept has been exchanged.

    What is kept and has the lowest ``stay`` goes; of all that is then not kept, and that ``may`` come, the highest
    ``grow`` comes.
    """
    if may is not None:
        grow = grow.masked_fill(~may, -torch.inf)
    count = min(int(share * int(mask.sum())), int((~mask if may is None else ~mask & may).sum()))
    dropped = torch.topk(stay.masked_fill(~mask, torch.inf).flatten(), count, largest=False).indices
    kept = mask.flatten().clone()
    kept[dropped] = False
    kept[torch.topk(grow.flatten().masked_fill(kept, -torch.inf), count).indices] = True
    return kept.view(mask.shape)


def ranked_by_output(scores: Tensor) -> Tensor:
    """The rank of each score [out, ...] within its output's row, in [0, 1): rows then lose equal shares."""
    order = scores.flatten(1).argsort(1).argsort(1).float()
    spread = torch.arange(len(scores), device=scores.device) / len(scores)  # breaks ties between rows evenly
    return ((order + spread[:, None]) / order.shape[1]).view(scores.shape)
