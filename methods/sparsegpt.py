import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from prunetui.api import Factor, Masks, Net, Positive, TrialError, dataclass, keep_top, register


@register("sparsegpt", source="Frantar & Alistarh 2023, SparseGPT, arXiv:2301.00774")
@dataclass(frozen=True)
class SparseGPT:
    """Zero weights column by column; what goes is made up for by the columns to its right.

    For what a layer reads, X, the error of its output is (v - w)^T X X^T (v - w) for each of its rows w. Columns are
    gone through in their order, so that all rows share one Cholesky factor of the inverse of X X^T; which weights go is
    decided for `columns` of them at a time, by w^2 / [inverse]_pp. Layer by layer: X is what the pruned layers before
    it hand on. A convolution is the linear layer of its unfolded input. The same share of every layer; the authors'
    n:m patterns are not offered here.
    """

    columns: Positive = 128
    """Columns whose weights compete with each other."""

    damping: Factor = 0.01
    """Added to the diagonal of X X^T, relative to its mean."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        for name, layer in net.layers().items():
            if isinstance(layer, _ConvNd) and (layer.groups > 1 or not isinstance(layer, nn.Conv2d)):
                kind = "grouped convolution" if layer.groups > 1 else type(layer).__name__
                raise TrialError(f"sparsegpt does not unfold what a {kind} reads; layers.exclude keeps {name} as it is")
        weights = net.weights()
        budgets = keep_top({name: w.abs() for name, w in weights.items()}, sparsity, "local", within=net)
        keep, moved, masks = dict(net.masks), dict[str, Tensor](), net.by_output(net.masks)
        for name, w in net.by_output(weights).items():
            rows = w.float().flatten(1)
            held = (masks[name] if name in masks else torch.ones_like(w, dtype=torch.bool)).flatten(1)
            factor = self._factor(name, net.with_weights(moved))
            stays, values = swept(rows, held, factor, int(budgets[name].sum()), self.columns)
            keep |= net.as_weights({name: stays.view(w.shape)})
            moved |= net.as_weights({name: values.view(w.shape)})
        return Masks(keep, {f"{name}.weight": w for name, w in moved.items()})

    def _factor(self, name: str, net: Net) -> Tensor:
        """The upper Cholesky factor of the inverse of the damped X X^T of a layer."""
        layer = net.layers()[name]
        hessian: Tensor | None = None
        for seen in net.inputs():
            x = read_columns(layer, seen[name].float())
            hessian = x @ x.T if hessian is None else hessian.addmm_(x, x.T)
        assert hessian is not None
        hessian = hessian.double()
        diagonal = hessian.diagonal()
        diagonal += self.damping * diagonal.mean().clamp_min(1e-30)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
        upper: Tensor = torch.linalg.cholesky(inverse, upper=True)
        return upper


def read_columns(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What each output reads, a column for every image and place: [in * k * k, columns]."""
    if not isinstance(layer, nn.Conv2d):
        return inputs.flatten(0, -2).T
    patches = F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
    return patches.transpose(0, 1).flatten(1)


def swept(weights: Tensor, held: Tensor, factor: Tensor, left: int, columns: int) -> tuple[Tensor, Tensor]:
    """Which of ``weights`` [rows, d] stay, ``left`` of them and none that is not ``held``, and their new values.

    ``factor`` is U [d, d], upper triangular, with U^T U the inverse of X X^T. After each column the error it leaves,
    over its U_pp, times the rest of row p of U, comes off the columns to its right.
    """
    w, keep = weights.double(), torch.zeros_like(held)
    gone, done, size = w.numel() - left, 0, w.shape[1]
    for first in range(0, size, columns):
        part = slice(first, min(first + columns, size))
        now, upper, here = w[:, part].clone(), factor[part, part], held[:, part]
        cost = (now.square() / upper.diagonal().square()).masked_fill(~here, -1.0)
        later = int((~held[:, part.stop :]).sum())
        count = min(max(round(gone * part.stop / size) - done, int((~here).sum())), gone - done - later)
        stays = torch.ones_like(here).flatten()
        stays[torch.topk(cost.flatten(), count, largest=False).indices] = False
        stays, done = stays.view_as(here), done + count
        errors = torch.zeros_like(now)
        for p in range(now.shape[1]):
            errors[:, p] = now[:, p] * ~stays[:, p] / upper[p, p]
            now[:, p:] -= errors[:, p, None] * upper[p, p:]
        w[:, part], keep[:, part] = now * stays, stays
        w[:, part.stop :] -= errors @ factor[part, part.stop :]
    return keep, w.to(weights.dtype)
