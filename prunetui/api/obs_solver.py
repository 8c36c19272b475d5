"""Which variables of a quadratic problem to set to zero, and where the others go then: Optimal Brain Surgeon.

A problem is to change w into a v with zeros at the least (v - w)^T H (v - w) / 2, H symmetric and positive definite.
Many problems of one size are solved at once: the first dimension of every tensor counts them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prunetui.errors import TrialError

PANEL = 32
"""Removals between two updates of the whole inverse: rarer updates move less memory, but the search reads more."""
AT_ONCE = 2**25
"""Numbers of the inverses that are in memory together: 128 MB in float32."""
TIE = 2.0**-22
"""What one cost is relatively above the one before it at least: rounded to float32 they still differ."""


def removal_costs(weights: Tensor, hessian: Tensor) -> Tensor:
    """The cost [R, d] of each removal when variables go one by one, always the one that costs least.

    ``weights`` is [R, d], ``hessian`` [R, d, d], or [1, d, d] for all problems. Removing p costs w_p^2 / (2 [H^-1]_pp);
    the others then move by -w_p / [H^-1]_pp times column p of H^-1, and H^-1 loses that column's outer product with
    itself over [H^-1]_pp (Frantar & Alistarh 2022, arXiv:2208.11580, equation 3 and lemma 1). Each cost is raised above
    that of the removal before it, so that whatever keeps the highest costs of a row keeps to the order of removals.
    Zeros cost nothing, go first and move nothing: weights that are already pruned are no part of the problem.

    Raises:
        TrialError: a problem is singular.
    """
    chunk = max(1, AT_ONCE // weights.shape[1] ** 2)
    inverses = torch.cat([inverse_of(part).to(weights.dtype) for part in torch.split(hessian, chunk)])
    inverses = inverses.expand(len(weights), -1, -1)
    parts = zip(torch.split(weights, chunk), torch.split(inverses, chunk), strict=True)
    return torch.cat([_costs_one_by_one(*part) for part in parts])


def compensated(target: Tensor, hessian: Tensor, keep: Tensor) -> Tensor:
    """The v [R, d] nearest to w of those that are zero wherever ``keep`` is not; ``target`` is H w.

    It solves [H]_kept,kept v_kept = [H w]_kept, which is the joint move -[H^-1]_:,Q ([H^-1]_Q,Q)^-1 w_Q for all removed
    Q at once (Singh & Alistarh 2020, arXiv:2004.14340, appendix) without the inverse. ``hessian`` is [R, d, d] or
    [1, d, d].

    Raises:
        TrialError: a problem is singular.
    """
    chunk = max(1, AT_ONCE // target.shape[1] ** 2)
    hessian = hessian.expand(len(target), -1, -1)
    parts = zip(*(torch.split(of_all, chunk) for of_all in (target, hessian, keep)), strict=True)
    return torch.cat([_solved(*part) for part in parts])


def _solved(target: Tensor, hessian: Tensor, keep: Tensor) -> Tensor:
    most = int(keep.sum(1).max())
    index = keep.byte().argsort(dim=1, descending=True, stable=True)[:, :most]  # what is kept comes first
    kept = keep.gather(1, index).double()
    # Rows that keep less than most are filled up with equations 1 v = 0.
    hessian = _minor(hessian, index).double() * kept[:, :, None] * kept[:, None] + torch.diag_embed(1 - kept)
    found = torch.cholesky_solve((target.gather(1, index) * kept)[:, :, None], cholesky_factor(hessian))[:, :, 0]
    return torch.zeros_like(target).scatter_(1, index, found.to(target.dtype))


def inverse_of(hessian: Tensor) -> Tensor:
    """The inverses of symmetric positive definite matrices [..., d, d], in float64.

    Raises:
        TrialError: one is singular.
    """
    return torch.cholesky_inverse(cholesky_factor(hessian.double()))


def cholesky_factor(hessian: Tensor) -> Tensor:
    """The lower Cholesky factors of symmetric positive definite matrices [..., d, d].

    Raises:
        TrialError: one is singular.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(hessian)
    if bool(failed.any()):
        raise TrialError("the curvature is singular: more damping or more calibration images are needed")
    return factor


def _costs_one_by_one(weights: Tensor, inverse: Tensor) -> Tensor:
    """``removal_costs`` of problems with these ``weights`` [R, d] and inverse Hessians [R, d, d].

    What is left shrinks after every panel of removals: ``variable`` says which of the d variables each of them is.
    """
    rows, size = weights.shape
    costs, highest = torch.empty_like(weights), weights.new_zeros(rows)
    variable = torch.arange(size, device=weights.device).expand(rows, size)
    for done in range(0, size, PANEL):
        removals = min(PANEL, size - done)
        order, spent, weights, columns = _panel(weights, inverse, removals)
        for removed, cost in zip(order, spent, strict=True):
            highest = torch.maximum(highest * (1 + TIE), cost)
            costs.scatter_(1, variable.gather(1, removed[:, None]), highest[:, None])
        gone = torch.zeros_like(weights, dtype=torch.bool).scatter_(1, torch.stack(order, 1), True)
        stay = (~gone).nonzero()[:, 1].view(rows, size - done - removals)
        inverse = _minor(torch.baddbmm(inverse, columns.mT, columns, alpha=-1), stay)
        weights, variable = weights.gather(1, stay), variable.gather(1, stay)
    return costs


def _panel(weights: Tensor, inverse: Tensor, removals: int) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
    """The next ``removals`` of every problem: which variables [R], their costs [R], and the weights after them.

    ``inverse`` stays as it is meanwhile. What it loses with a removal is the outer product of a column with itself:
    the last of the four, [R, removals, d], are those columns, from which its diagonal and single columns are kept up.
    """
    rows, size = weights.shape
    row = torch.arange(rows, device=weights.device)
    columns = weights.new_zeros(rows, removals, size)
    diagonal, gone = inverse.diagonal(dim1=1, dim2=2).clone(), torch.zeros_like(weights, dtype=torch.bool)
    order, costs = [], []
    for i in range(removals):
        diagonal.clamp_min_(torch.finfo(diagonal.dtype).tiny)  # rounding may take it below zero
        cost, p = (weights.square() / (2 * diagonal)).masked_fill_(gone, torch.inf).min(1)
        lost = (columns[row, :i, p][:, None] @ columns[:, :i])[:, 0]
        at_p = diagonal[row, p].sqrt()[:, None]
        columns[:, i] = column = (inverse[row, p] - lost) / at_p
        weights = weights - weights[row, p, None] / at_p * column
        diagonal -= column.square()
        gone[row, p] = True
        order.append(p)
        costs.append(cost)
    return order, costs, weights, columns


def _minor(matrices: Tensor, index: Tensor) -> Tensor:
    """Rows and columns ``index[r]`` of each matrix r."""
    row = torch.arange(len(matrices), device=matrices.device)[:, None, None]
    return matrices[row, index[:, :, None], index[:, None]]
