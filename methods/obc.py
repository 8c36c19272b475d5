import math

import torch
from torch import Tensor

from prunetui.api import (
    Factor,
    Masks,
    Net,
    Positive,
    Scope,
    TrialError,
    can_unfold,
    compensated,
    dataclass,
    input_columns,
    keep_top,
    register,
    removal_costs,
    weight_rows,
)


@register("obc", source="Frantar & Alistarh 2022, Optimal Brain Compression, arXiv:2208.11580")
@dataclass(frozen=True)
class OptimalBrainCompression:
    """Zero the weights whose removal changes what their layer puts out least once its others have moved.

    Each output row w of a layer is a problem of its own, (v - w)^T H (v - w) with H = X X^T of what the layer reads:
    weights go one by one, and the rows of a layer lose them by their costs. Where we depart: the survivors are fitted
    jointly, one layer after the other, to put out for the pruned net's input X' what the dense layer put out for X;
    with the scope ``global`` layers too compete, by costs relative to their output's energy w^T H w; rows longer than
    ``block`` are treated in parts, which know of each other only in the fit.
    """

    scope: Scope = "local"
    """Rank within each layer, or across the whole net by the change relative to each layer's output."""
    block: Positive = 1024
    """Longest row, or part of one, that is treated as one problem."""
    damping: Factor = 0.01
    """Added to H's diagonal, relative to its mean."""
    sequential: bool = True
    """Fit each layer to what the pruned layers before it hand on, or to what the dense ones did."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        for name, layer in net.layers().items():
            if not can_unfold(layer):
                kind = type(layer).__name__
                raise TrialError(f"obc does not unfold what a {kind} reads; layers.exclude keeps {name} as it is")
        costs = self._costs(net)
        keep = keep_top(costs, sparsity, self.scope, within=net)
        stay = net.by_output(keep)
        moved: dict[str, Tensor] = {}
        for name in costs:
            before = net.with_weights(moved) if self.sequential else net
            moved |= net.as_weights({name: self._fitted(name, net, before, stay[name])})
        return Masks(keep, {f"{name}.weight": w for name, w in moved.items()})

    def _costs(self, net: Net) -> dict[str, Tensor]:
        """What each removal adds to the error of its layer's output, relative to that output's energy."""
        layers, weights = net.layers(), net.by_output()
        rows = {name: weight_rows(layers[name], w) for name, w in weights.items()}
        hessians = {n: [w.new_zeros(len(w), len(p), len(p)) for p in self._parts(w)] for n, w in rows.items()}
        energy = {name: w.new_zeros(()) for name, w in rows.items()}
        for seen in net.inputs():
            for name, w in rows.items():
                for x in input_columns(layers[name], seen[name]):
                    energy[name] += (w @ x).square().sum()
                    for part, hessian in zip(self._parts(w), hessians[name], strict=True):
                        hessian.baddbmm_(x[:, part], x[:, part].mT)
        costs = {}
        for name, w in rows.items():
            problems = zip(self._parts(w), hessians.pop(name), strict=True)
            found = torch.cat(
                [removal_costs(w[:, :, p].flatten(0, 1), each_row(self._damped(h), w)) for p, h in problems], 1
            )
            costs[name] = (found / energy[name].clamp_min(1e-30)).view(weights[name].shape)
        return net.as_weights(costs)

    def _fitted(self, name: str, net: Net, before: Net, keep: Tensor) -> Tensor:
        """The layer's weights that make the most of what ``before`` hands on to it, part by part of each row."""
        layer, weight = net.layers()[name], net.by_output()[name]
        w, kept = weight_rows(layer, weight), weight_rows(layer, keep).bool()
        hessian, cross = w.new_zeros(2, len(w), w.shape[2], w.shape[2])
        for dense, sparse in zip(net.inputs(), before.inputs(), strict=True):
            for x, y in zip(input_columns(layer, dense[name]), input_columns(layer, sparse[name]), strict=True):
                hessian.baddbmm_(y, y.mT)
                cross.baddbmm_(x, y.mT)
        cross.diagonal(dim1=1, dim2=2).add_(self._ridge(hessian))
        hessian, target, v = self._damped(hessian), w @ cross, w * kept
        for p in self._parts(w):
            own = hessian[:, p][:, :, p]
            rest = target[:, :, p] - v @ hessian[:, :, p] + v[:, :, p] @ own  # what the row's other parts leave to this
            found = compensated(rest.flatten(0, 1), each_row(own, w), kept[:, :, p].flatten(0, 1))
            v[:, :, p] = found.view(rest.shape)
        return v.view(weight.shape)

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        size = rows.shape[2]
        return torch.arange(size, device=rows.device).chunk(math.ceil(size / self.block))

    def _damped(self, hessian: Tensor) -> Tensor:
        return hessian + self._ridge(hessian) * torch.eye(hessian.shape[1], device=hessian.device)

    def _ridge(self, hessian: Tensor) -> Tensor:
        return self.damping * hessian.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)


def each_row(hessian: Tensor, rows: Tensor) -> Tensor:
    """The problem of each row: [1, d, d] where all have the same, else [rows, d, d]."""
    return hessian if len(hessian) == 1 else hessian.repeat_interleave(rows.shape[1], 0)
