"""Which channels the layers that read them can do without, once their other weights have moved: structured OBS.

A reader is a least-squares problem: its weights W [rows, d] become the V with the least tr (V - W) H (V - W)^T in which
all columns of the removed channels are zero, with H = X X^T of what the layer reads. Convolutions of several groups are
as many problems of one size: the first dimension of weights and Hessians counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prunetui.api.obs_solver import TIE, cholesky_factor, compensated, inverse_of


class ChannelReader:
    """A layer that reads channels of a group, or some columns of it, as channels go, and their columns with them.

    ``weights`` is [groups, rows, d], ``hessian`` [groups, d, d], symmetric and positive definite. Channel
    ``channels[i]`` of the group is read with the columns ``columns[i]``, int64 [n, c]; other columns only move.
    ``scale`` multiplies the costs. Tensors that are given stay as they are.

    Raises:
        TrialError: the Hessian is singular.
    """

    def __init__(self, weights: Tensor, hessian: Tensor, channels: Tensor, columns: Tensor, scale: float = 1) -> None:
        self._by_column, self.inverse = (
            weights.double().mT.clone(memory_format=torch.contiguous_format),
            inverse_of(hessian),
        )
        self.channels, self.columns, self.scale = channels, columns, scale
        self._stay = torch.ones_like(self.inverse[0, 0], dtype=torch.bool)

    @property
    def weights(self) -> Tensor:
        """[groups, rows, columns], without most of the columns that are gone; those of them that are here are zero."""
        return self._by_column.mT

    def costs(self) -> Tensor:
        """What removing each channel [n] alone adds: the sum over rows of W_S ([H^-1]_SS)^-1 W_S^T."""
        own = self._by_column[:, self.columns]  # [groups, n, c, rows]
        blocks = self.inverse[:, self.columns[:, :, None], self.columns[:, None]]
        spent: Tensor = torch.linalg.inv(blocks) * (own @ own.mT)
        return spent.sum((0, 2, 3)) * self.scale

    def remove(self, gone: Tensor) -> None:
        """Remove these channels of the group, those of them that are here; the other weights make up for them.

        W loses W_S ([H^-1]_SS)^-1 [H^-1]_S,: and H^-1 loses [H^-1]_:,S ([H^-1]_SS)^-1 [H^-1]_S,:.
        """
        here = torch.isin(self.channels, gone)
        s = self.columns[here].flatten()
        rows = self.inverse[:, s]
        move = torch.linalg.solve(rows[:, :, s], rows)
        self._by_column.baddbmm_(move.mT, self._by_column[:, s], alpha=-1)
        self.inverse.baddbmm_(rows.mT, move, alpha=-1)
        self._by_column[:, s], self.inverse[:, s], self.inverse[:, :, s] = 0, 0, 0  # as they are but for rounding
        self.channels, self.columns, self._stay[s] = self.channels[~here], self.columns[~here], False
        if 4 * int(self._stay.sum()) <= 3 * len(self._stay):  # rarer moves of memory cost more arithmetic with zeros
            self._forget_removed()

    def _forget_removed(self) -> None:
        """Keep no zeros for the columns that are gone."""
        self.columns = (self._stay.cumsum(0) - 1)[self.columns]
        self._by_column = self._by_column[:, self._stay]
        self.inverse = self.inverse[:, self._stay][:, :, self._stay]
        self._stay = self._stay[self._stay]


def channel_costs(readers: Sequence[ChannelReader], width: int, step: int = 1) -> Tensor:
    """The cost [width] of each removal, float64, when channels go one by one, always the one that costs least.

    What all ``readers`` lose by a channel adds up. ``step`` channels go before the others are looked at anew. Each cost
    is raised above that of the removal before it, so that whatever keeps the highest costs keeps to the order of
    removals. The readers are left without any of the channels. Kurtic et al. 2023, ZipLM (arXiv:2302.04089), where
    each matrix is a problem of its own.
    """
    costs = readers[0].weights.new_zeros(width)
    left, highest = torch.ones_like(costs, dtype=torch.bool), costs.new_zeros(())
    for removed in range(0, width, step):
        now = torch.zeros_like(costs).masked_fill_(~left, torch.inf)
        for reader in readers:
            now.index_add_(0, reader.channels, reader.costs())
        least, gone = now.topk(min(step, width - removed), largest=False)
        for channel, cost in zip(gone, least, strict=True):
            highest = torch.maximum(highest * (1 + TIE), cost)
            costs[channel] = highest
        left[gone] = False
        for reader in readers:
            reader.remove(gone)
    return costs


def fitted(target: Tensor, hessian: Tensor, keep: Tensor | None = None) -> Tensor:
    """The V [groups, rows, d] with V H = ``target``, and zeros wherever ``keep``, bool [groups, rows, d], is not.

    ``hessian`` is [groups, d, d]. Zeros that differ from row to row make every row a problem of its own.

    Raises:
        TrialError: a problem is singular.
    """
    if keep is None:
        found = torch.cholesky_solve(target.double().mT, cholesky_factor(hessian.double())).mT
        return found.to(target.dtype)
    each = hessian if len(hessian) == 1 else hessian.repeat_interleave(target.shape[1], 0)
    return compensated(target.flatten(0, 1), each, keep.flatten(0, 1)).view_as(target)
