import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import (
    Factor,
    Masks,
    Net,
    Positive,
    Scope,
    compensated,
    dataclass,
    keep_top,
    register,
    removal_costs,
)


@register(
    "obs",
    source="Hassibi & Stork 1993, Optimal Brain Surgeon; Fisher blocks as in Singh & Alistarh 2020 (WoodFisher), "
    "arXiv:2004.14340, and Kurtic et al. 2022 (oBERT), arXiv:2203.07259",
)
@dataclass(frozen=True)
class OptimalBrainSurgeon:
    """Zero the weights whose removal raises the loss least once the others have moved to make up for it.

    The loss is (v - w)^T F (v - w) / 2 with F = damping + the mean of g g^T over single images' gradients g, in blocks
    of consecutive weights of a layer. Both papers score all weights of a block as if each went alone, w_q^2 / (2
    [F^-1]_qq); here they go one by one, so that of two weights that stand in for each other one stays. Survivors make
    up for all that went jointly. Blocks are inverted as they are: at these sizes that is cheaper than Woodbury's
    formula, image by image.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""
    block: Positive = 64
    """Weights that may make up for each other; memory is this times the net's."""
    damping: Factor = 0.01
    """Added to F's diagonal, relative to its mean over the net."""
    rounds: Positive = 4
    """Steps in which the density falls, by equal factors; each looks at the loss anew."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights, keep = {name: w.float() for name, w in net.weights().items()}, net.masks
        total = sum(w.numel() for w in weights.values())
        start = 1 - sum(int((~mask).sum()) for mask in keep.values()) / total
        for i in range(1, self.rounds + 1):
            density = start * ((1 - sparsity) / start) ** (i / self.rounds)
            moving = net.with_weights(weights, keep)
            fisher = fisher_blocks(moving, self.block, self.damping)
            costs = {
                name: removal_costs(blocks(w, self.block), fisher[name]).view(-1)[: w.numel()].view_as(w)
                for name, w in weights.items()
            }
            keep = keep_top(costs, 1 - density, self.scope, within=moving)
            weights = {name: moved(w, keep[name], fisher.pop(name)) for name, w in weights.items()}
        return Masks(keep, {f"{name}.weight": w for name, w in weights.items()})


def fisher_blocks(net: Net, size: int, damping: float) -> dict[str, Tensor]:
    """The damped empirical Fisher matrix's diagonal blocks [blocks, size, size] of each layer."""
    weights = net.weights()
    fisher = {name: torch.zeros(len(blocks(w, size)), size, size, device=w.device) for name, w in weights.items()}
    for chunk in net.image_gradients():
        for name, gradients in chunk.items():
            each = torch.stack([blocks(g.float(), size) for g in gradients], 1)  # [blocks, images, size]
            fisher[name].baddbmm_(each.mT, each, alpha=1 / net.count)
    traces = [f.diagonal(dim1=1, dim2=2).sum() for f in fisher.values()]
    mean = torch.stack(traces).sum() / sum(w.numel() for w in weights.values())
    for f in fisher.values():
        f.diagonal(dim1=1, dim2=2).add_(damping * mean.clamp_min(1e-30))
    return fisher


def blocks(weight: Tensor, size: int) -> Tensor:
    """The weights of a layer in the order they lie, [blocks, size]; zeros fill the last block."""
    flat = weight.flatten()
    return F.pad(flat, (0, -len(flat) % size)).view(-1, size)


def moved(weight: Tensor, keep: Tensor, fisher: Tensor) -> Tensor:
    """The weights that are left where the loss is least."""
    w = blocks(weight, fisher.shape[1])
    target = (fisher @ w[:, :, None])[:, :, 0]
    return compensated(target, fisher, blocks(keep, fisher.shape[1])).view(-1)[: weight.numel()].view_as(weight)
