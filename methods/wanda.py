import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunetui.api import Budget, Literal, Masks, Net, dataclass, keep_within, register, weights_kept


@register("wanda", source="Sun et al. 2023, arXiv:2306.11695")
@dataclass(frozen=True)
class Wanda:
    """Zero the weights with the smallest |weight| x norm of the input they read, the same share of each output.

    The norm is the L2 norm over calibration images (and, for convolutions, over the places a kernel element reads).
    The paper compares within the weights of one output; so do we, by ranks, exact for each layer. Block by block, as
    there: the norms of a block are of what the pruned blocks before it hand on. Relative importance (`score = "ria"`,
    Zhang et al. 2024, ICLR, Plug-and-Play) divides |weight| by the sums of its input's and of its output's weights,
    takes the root of the norm, and ranks across the layer; the authors' permutations for n:m are not done.
    """

    score: Literal["wanda", "ria"] = "wanda"
    """|weight| x norm; or (|weight| / sum of its column + |weight| / sum of its row) x root of the norm."""

    sequential: bool = True
    """Look at what the pruned blocks before a layer hand on to it, or at what the dense ones do."""

    budget: Budget = "uniform"
    """Layers alike, or denser by their shape (erk), their outliers (owl) or the tail of their spectrum (alpha)."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights = net.weights()
        scores = {name: w.abs().float() for name, w in net.by_output().items()}
        before, kept = net, None
        if self.budget != "uniform":  # as in OWL, of what the dense net shows
            dense = {name: scores[name] * e.sqrt() for name, e in input_energies(net, [*weights]).items()}
            kept = weights_kept(net, net.as_weights(dense), sparsity, self.budget)
        for block in blocks_of(weights) if self.sequential else [[*weights]]:
            for name, energy in input_energies(before, block).items():
                scores[name] = self._scored(scores[name], energy.sqrt())
            keep = keep_within(net, net.as_weights(scores), sparsity, kept)
            before = before.with_weights({name: weights[name] * keep[name] for name in block})
        return Masks(keep)

    def _scored(self, magnitudes: Tensor, norms: Tensor) -> Tensor:
        """The scores of a layer's weights, whose |weights| have these norms of inputs."""
        if self.score == "wanda":
            return _ranked_by_output(magnitudes * norms)
        rows = magnitudes.flatten(1)
        relative = rows / rows.sum(0).clamp_min(1e-30) + rows / rows.sum(1, keepdim=True).clamp_min(1e-30)
        return relative.view_as(magnitudes) * norms.sqrt()


def blocks_of(names: Iterable[str]) -> list[list[str]]:
    """Layers by the block they are in: names that agree up to their first number; others are blocks of their own."""
    blocks: dict[str, list[str]] = {}
    for name in names:
        numbered = re.match(r"(.*?\.)?\d+(?=\.|$)", name)
        blocks.setdefault(numbered[0] if numbered else name, []).append(name)
    return list(blocks.values())


def input_energies(net: Net, names: Sequence[str]) -> dict[str, Tensor]:
    """Of each layer, the sum over calibration images and places of the squared input that a weight reads."""
    layers = net.layers()
    energies: dict[str, Tensor] = {}
    for seen in net.inputs():
        for name in names:
            found = input_energy(layers[name], seen[name].float().square())
            energies[name] = energies[name] + found if name in energies else found
    return energies


def input_energy(layer: nn.Module, squares: Tensor) -> Tensor:
    """Sum over images, places and tokens of the squared input a weight reads: [1, in, k, k], or [1, in].

    Of a grouped convolution, whose outputs read different inputs, it is [out, in / groups, k, k].
    """
    if not isinstance(layer, _ConvNd):
        return squares.flatten(0, -2).sum(0, keepdim=True)
    if isinstance(layer, _ConvTransposeNd):  # each weight is used at every place of the input
        sums = squares.flatten(2).sum((0, 2))
        return sums.view(1, -1, *[1] * len(layer.kernel_size))
    shape = (layer.groups, squares.shape[1] // layer.groups, *layer.kernel_size)
    with torch.enable_grad():  # the gradient of a convolution with respect to its kernel is just this sum
        kernel = torch.zeros(shape, device=squares.device, requires_grad=True)
        out = layer._conv_forward(squares, kernel, None)
        found = torch.autograd.grad(out.sum(), kernel)[0]
    return found if layer.groups == 1 else found.repeat_interleave(layer.out_channels // layer.groups, 0)


def _ranked_by_output(scores: Tensor) -> Tensor:
    """The rank of each score within its output's row, in [0, 1): rows then lose equal shares."""
    order = scores.flatten(1).argsort(1).argsort(1).float()
    spread = torch.arange(len(scores), device=scores.device) / len(scores)  # breaks ties between rows evenly
    return ((order + spread[:, None]) / order.shape[1]).view(scores.shape)
