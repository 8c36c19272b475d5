import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
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

IMAGES = 16
"""Images unfolded together: their patches then fit the processor's cache."""


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
        costs = self._costs(net)
        keep = keep_top(costs, sparsity, self.scope, within=net)
        moved: dict[str, Tensor] = {}
        for name in costs:
            before = net.with_weights(moved) if self.sequential else net
            moved[name] = self._fitted(name, net, before, keep[name])
        return Masks(keep, {f"{name}.weight": w for name, w in moved.items()})

    def _costs(self, net: Net) -> dict[str, Tensor]:
        """What each removal adds to the error of its layer's output, relative to that output's energy."""
        layers, rows = net.layers(), {name: w.flatten(1).float() for name, w in net.weights().items()}
        hessians = {name: [w.new_zeros(len(p), len(p)) for p in self._parts(w)] for name, w in rows.items()}
        energy = {name: w.new_zeros(()) for name, w in rows.items()}
        for seen in net.inputs():
            for name, w in rows.items():
                for x in columns(layers[name], seen[name]):
                    energy[name] += (w @ x).square().sum()
                    for part, hessian in zip(self._parts(w), hessians[name], strict=True):
                        hessian.addmm_(x[part], x[part].T)
        costs = {}
        for name, w in rows.items():
            problems = zip(self._parts(w), hessians.pop(name), strict=True)
            found = torch.cat([removal_costs(w[:, p], self._damped(h)[None]) for p, h in problems], 1)
            costs[name] = (found / energy[name].clamp_min(1e-30)).view_as(net.weights()[name])
        return costs

    def _fitted(self, name: str, net: Net, before: Net, keep: Tensor) -> Tensor:
        """The layer's weights that make the most of what ``before`` hands on to it, part by part of each row."""
        layer, weight = net.layers()[name], net.weights()[name]
        w, kept = weight.flatten(1).float(), keep.flatten(1)
        hessian, cross = w.new_zeros(2, w.shape[1], w.shape[1])
        for dense, sparse in zip(net.inputs(), before.inputs(), strict=True):
            for x, y in zip(columns(layer, dense[name]), columns(layer, sparse[name]), strict=True):
                hessian.addmm_(y, y.T)
                cross.addmm_(x, y.T)
        cross.diagonal().add_(self._ridge(hessian))
        hessian, target, v = self._damped(hessian), w @ cross, w * kept
        for p in self._parts(w):
            own = hessian[p][:, p]
            rest = target[:, p] - v @ hessian[:, p] + v[:, p] @ own  # what the row's other parts leave to this one
            v[:, p] = compensated(rest, own[None], kept[:, p])
        return v.view_as(weight)

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        size = rows.shape[1]
        return torch.arange(size, device=rows.device).chunk(math.ceil(size / self.block))

    def _damped(self, hessian: Tensor) -> Tensor:
        return hessian + self._ridge(hessian) * torch.eye(len(hessian), device=hessian.device)

    def _ridge(self, hessian: Tensor) -> Tensor:
        return self.damping * hessian.diagonal().mean().clamp_min(1e-30)


def columns(layer: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """What each output reads, a column for every image and place: [in * k * k, columns], a few images at a time."""
    for part in torch.split(inputs.float(), IMAGES):
        if isinstance(layer, nn.Conv2d):
            patches = F.unfold(part, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
            yield patches.transpose(0, 1).flatten(1)
        else:
            yield part.flatten(0, -2).T
