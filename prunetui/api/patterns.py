"""n of m: patterns of weights that sparse hardware reads, by any scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from prunetui.api.constraints import Constrained
from prunetui.api.options import Scope
from prunetui.api.selection import keep_top
from prunetui.errors import TrialError


def keep_scored(
    net: Constrained, scores: Mapping[str, Tensor], sparsity: float, scope: Scope, n: int, m: int
) -> dict[str, Tensor]:
    """The masks that the target asks for: the highest scores, or those of every ``m`` if it is a pattern.

    Raises:
        TrialError: as ``keep_top`` and ``keep_pattern``.
    """
    if net.target == "pattern":
        return keep_pattern(net, scores, n, m)
    return keep_top(scores, sparsity, scope, within=net)


def keep_pattern(net: Constrained, scores: Mapping[str, Tensor], n: int, m: int) -> dict[str, Tensor]:
    """Keep the ``n`` highest scores of every ``m`` consecutive input channels, at each place of a kernel.

    ``scores`` are shaped as ``net.weights()``. What is pruned already comes last. Layers whose input channels are no
    multiple of ``m`` are left out.

    Raises:
        TrialError: no layer has input channels in multiples of ``m``.
    """
    keep, held = {}, net.by_output(net.masks)
    for name, score in net.by_output(scores).items():
        if fits_pattern(score, m):
            score = score.float().masked_fill(~held[name], -torch.inf) if name in held else score.float()
            mask = from_input_rows(pattern_of_rows(input_rows(score), n, m), score)
            keep[name] = mask & held[name] if name in held else mask
    if not keep:
        raise TrialError(f"no layer has input channels in multiples of {m}")
    return net.as_weights(keep)


def fits_pattern(weight: Tensor, m: int) -> bool:
    """Whether a weight [out, in, ...] has input channels in multiples of ``m``."""
    return weight.shape[1] % m == 0


def input_rows(weight: Tensor) -> Tensor:
    """A weight [out, in, k, k] as rows [out, k * k * in], input channels last, as sparse kernels read them."""
    return weight.movedim(1, -1).flatten(1)


def from_input_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Rows as ``input_rows`` makes them, back in the shape of the weight ``like``."""
    return rows.view(like.movedim(1, -1).shape).movedim(-1, 1).contiguous()


def pattern_of_rows(rows: Tensor, n: int, m: int) -> Tensor:
    """Which of the scores [out, d] are among the ``n`` highest of their ``m``: bool [out, d]."""
    best = rows.reshape(-1, m).topk(n).indices
    kept = torch.zeros(rows.numel() // m, m, dtype=torch.bool, device=rows.device)
    return kept.scatter_(1, best, True).view(rows.shape)
