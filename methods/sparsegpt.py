import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from prunetui.api import (
    Factor,
    Masks,
    Net,
    Positive,
    TrialError,
    dataclass,
    fits_pattern,
    from_input_rows,
    input_rows,
    keep_top,
    pattern_of_rows,
    register,
)


@register("sparsegpt", source="Frantar & Alistarh 2023, SparseGPT, arXiv:2301.00774",
          targets=("sparsity", "pattern"))  # fmt: skip
@dataclass(frozen=True)
class SparseGPT:
    """Zero weights column by column; what goes is made up for by the columns to its right.

    For what a layer reads, X, the error of its output is (v - w)^T X X^T (v - w) for each of its rows w. Columns are
    gone through in their order, so that all rows share one Cholesky factor of the inverse of X X^T; which weights go is
    decided for `columns` of them at a time, by w^2 / [inverse]_pp, or for every m where the target is an n:m pattern.
    Layer by layer: X is what the pruned layers before it hand on. A convolution is the linear layer of its unfolded
    input. The same share of every layer.
    """

    columns: Positive = 128
    """Columns whose weights compete with each other."""

    damping: Factor = 0.01
    """Added to the diagonal of X X^T, relative to its mean."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        _check_unfolded(net)
        weights, masks = net.by_output(), net.by_output(net.masks)
        pattern = (self.n, self.m) if net.target == "pattern" else None
        if pattern:
            weights = {name: w for name, w in weights.items() if fits_pattern(w, self.m)}
            left = dict.fromkeys(weights, 0)
        else:
            budgets = keep_top({name: w.abs() for name, w in net.weights().items()}, sparsity, "local", within=net)
            left = {name: int(mask.sum()) for name, mask in budgets.items()}
        if not weights:
            raise TrialError(f"no layer has input channels in multiples of {self.m}")
        keep, moved = {} if pattern else dict(net.masks), dict[str, Tensor]()
        for name, w in weights.items():
            held = input_rows(masks[name] if name in masks else torch.ones_like(w, dtype=torch.bool))
            factor = self._factor(name, net.with_weights(moved))
            found = swept(input_rows(w.float()), held, factor, left[name], self.columns, pattern)
            stays, values = (from_input_rows(part, w) for part in found)
            keep |= net.as_weights({name: stays})
            moved |= net.as_weights({name: values})
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


def _check_unfolded(net: Net) -> None:
    for name, layer in net.layers().items():
        if isinstance(layer, _ConvNd) and (layer.groups > 1 or not isinstance(layer, nn.Conv2d)):
            kind = "grouped convolution" if layer.groups > 1 else type(layer).__name__
            raise TrialError(f"sparsegpt does not unfold what a {kind} reads; layers.exclude keeps {name} as it is")


def read_columns(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What each output reads, a column for every image and place: [k * k * in, columns], as ``input_rows`` has it."""
    if not isinstance(layer, nn.Conv2d):
        return inputs.flatten(0, -2).T
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(inputs, layer._reversed_padding_repeated_twice, mode)
    patches = F.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
    return (
        patches.view(len(patches), inputs.shape[1], -1, patches.shape[2]).permute(2, 1, 0, 3).flatten(2).flatten(0, 1)
    )


def swept(
    weights: Tensor, held: Tensor, factor: Tensor, left: int, columns: int, pattern: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """Which of ``weights`` [rows, d] stay, and their new values; none stays that is not ``held``.

    ``left`` of them stay, or of a ``pattern`` n of every m. ``factor`` is U [d, d], upper triangular, with U^T U the
    inverse of X X^T. After each column the error it leaves, over its U_pp, times the rest of row p of U, comes off the
    columns to its right.
    """
    w, keep = weights.double(), torch.zeros_like(held)
    gone, done, size = w.numel() - left, 0, w.shape[1]
    columns = max(columns - columns % pattern[1], pattern[1]) if pattern else columns
    for first in range(0, size, columns):
        part = slice(first, min(first + columns, size))
        now, upper, here = w[:, part].clone(), factor[part, part], held[:, part]
        stays, errors = here.clone(), torch.zeros_like(now)
        if not pattern:
            later = int((~held[:, part.stop :]).sum())
            count = min(max(round(gone * part.stop / size) - done, int((~here).sum())), gone - done - later)
            least = torch.topk(_costs(now, upper, here).flatten(), count, largest=False).indices
            stays = torch.ones(here.numel(), dtype=torch.bool, device=w.device).index_fill_(0, least, False)
            stays, done = stays.view_as(here), done + count
        for p in range(now.shape[1]):
            if pattern and p % pattern[1] == 0:
                own = slice(p, p + pattern[1])
                stays[:, own] &= pattern_of_rows(_costs(now[:, own], upper[own, own], here[:, own]), *pattern)
            errors[:, p] = now[:, p] * ~stays[:, p] / upper[p, p]
            now[:, p:] -= errors[:, p, None] * upper[p, p:]
        w[:, part], keep[:, part] = now * stays, stays
        w[:, part.stop :] -= errors @ factor[part, part.stop :]
    return keep, w.to(weights.dtype)


def _costs(weights: Tensor, upper: Tensor, held: Tensor) -> Tensor:
    """What each removal costs; what is gone already costs nothing."""
    return (weights.square() / upper.diagonal().square()).masked_fill(~held, -1.0)
