"""Selection of whole kernels: the k x k weights that connect one input channel with one output channel.

The weight of a linear layer, or of a 1x1 convolution, is a kernel of one weight. The budget is in weights, of which
kernels have different numbers: 9, 1, or what earlier masks have left of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from prunetui.api.net import Keep, Net
from prunetui.errors import TrialError


def kernels_of(net: Net) -> dict[str, Tensor]:
    """Prunable weights by layer name as kernels: float32 [out, in, k, k]; what is masked is zero.

    A kernel of one dimension is a column, one of three a matrix whose rows are planes.
    """
    held = _held(net)
    found = {name: w.float() * held[name] for name, w in net.weights().items()}
    return {
        name: w.flatten(3) if w.dim() > 4 else w.reshape(*w.shape, *[1] * (4 - w.dim())) for name, w in found.items()
    }


def weights_left(net: Net) -> dict[str, Tensor]:
    """How many weights of each kernel no mask has removed: int64 [out, in]."""
    return {name: mask.flatten(2).sum(2) if mask.dim() > 2 else mask.long() for name, mask in _held(net).items()}


def _held(net: Net) -> dict[str, Tensor]:
    """The masks in force; of layers without one, all True."""
    return {
        name: net.masks[name] if name in net.masks else torch.ones_like(w, dtype=torch.bool)
        for name, w in net.weights().items()
    }


def keep_top_kernels(net: Net, scores: Mapping[str, Tensor], sparsity: float, scope: str) -> Keep:
    """Keep the kernels with the highest ``scores`` [out, in] as the masks in force left them; remove the others whole.

    What is removed of all weights (``global``) or of those of each layer (``local``) comes within half a kernel of
    ``sparsity``. Every layer keeps at least the fraction ``net.floor`` of its weights.

    Raises:
        TrialError: the masks in force have removed more than ``sparsity``, or the floors leave too little to remove.
    """
    left, held = weights_left(net), _held(net)
    ranked = [_ranked(score, left[name], held[name].numel(), net.floor) for name, score in scores.items()]
    sizes = [left[name].flatten() for name in scores]
    wanted = [int(left[name].sum()) - (1 - sparsity) * held[name].numel() for name in scores]
    if scope == "global":
        chosen = _keep(torch.cat(ranked), torch.cat(sizes), sum(wanted))
        kept = tuple(torch.split(chosen, [len(size) for size in sizes]))
    else:
        kept = tuple(_keep(*layer) for layer in zip(ranked, sizes, wanted, strict=True))
    return {name: _masked(held[name], keep) for name, keep in zip(scores, kept, strict=True)}


def _masked(held: Tensor, keep: Tensor) -> Tensor:
    return held & keep.view(*held.shape[:2], *[1] * (held.dim() - 2))


def _ranked(scores: Tensor, left: Tensor, weights: int, floor: float) -> Tensor:
    """Scores [kernels] of a layer with what is gone at the bottom and what the floor protects out of reach."""
    ranked = scores.detach().float().masked_fill(left == 0, -torch.inf).flatten()
    if floor:
        order = ranked.argsort(descending=True)
        before = left.flatten()[order].cumsum(0) - left.flatten()[order]
        safe = order[(before < math.ceil(floor * weights - 1e-9)) & (ranked[order] > -torch.inf)]
        ranked[safe] = torch.inf
    return ranked


def _keep(scores: Tensor, sizes: Tensor, wanted: float) -> Tensor:
    """Which kernels stay when those with the lowest scores go until nearest to ``wanted`` weights are gone."""
    order = scores.argsort(stable=True)
    gone = torch.cat([sizes.new_zeros(1), sizes[order].cumsum(0)])
    gone = gone[: 1 + int((scores < torch.inf).sum())]
    half = int(sizes.max()) / 2 + 1e-6
    if wanted < -half:
        raise TrialError(f"{-wanted:.0f} weights more than asked for are already pruned")
    if wanted > int(gone[-1]) + half:
        raise TrialError(
            f"cannot remove {wanted:.0f} more weights: {int(gone[-1])} may go before every layer is at its floor"
        )
    keep = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    keep[order[: int((gone - wanted).abs().argmin())]] = False
    return keep
