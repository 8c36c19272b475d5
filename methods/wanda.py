import torch
from torch import Tensor, nn

from prunetui.api import Masks, Net, dataclass, keep_top, register


@register("wanda", source="Sun et al. 2023, arXiv:2306.11695")
@dataclass(frozen=True)
class Wanda:
    """Zero the weights with the smallest |weight| x norm of the input they read, the same share of each output.

    The norm is the L2 norm over calibration images (and, for convolutions, over the places a kernel element reads).
    The paper compares within the weights of one output; so do we, by ranks, exact for each layer.
    """

    def prune(self, net: Net, sparsity: float) -> Masks:
        layers, weights = net.layers(), net.weights()
        energy = {name: torch.zeros_like(w[:1], dtype=torch.float32) for name, w in weights.items()}
        for seen in net.inputs():
            for name, inputs in seen.items():
                energy[name] += input_energy(layers[name], inputs.float().square())
        scores = {name: _ranked_by_output(w.abs().float() * energy[name].sqrt()) for name, w in weights.items()}
        return Masks(keep_top(scores, sparsity, "local", within=net))


def input_energy(layer: nn.Module, squares: Tensor) -> Tensor:
    """Sum over images and places of the squared input a weight reads: [1, in, k, k], or [1, in] of a linear layer."""
    if not isinstance(layer, nn.Conv2d):
        return squares.sum(0, keepdim=True)
    shape = (1, squares.shape[1], *layer.kernel_size)
    with torch.enable_grad():  # the gradient of a convolution with respect to its kernel is just this sum
        kernel = torch.zeros(shape, device=squares.device, requires_grad=True)
        out = nn.functional.conv2d(squares, kernel, None, layer.stride, layer.padding, layer.dilation)
        return torch.autograd.grad(out.sum(), kernel)[0]


def _ranked_by_output(scores: Tensor) -> Tensor:
    """The rank of each score within its output's row, in [0, 1): rows then lose equal shares."""
    order = scores.flatten(1).argsort(1).argsort(1).float()
    spread = torch.arange(len(scores), device=scores.device) / len(scores)  # breaks ties between rows evenly
    return ((order + spread[:, None]) / order.shape[1]).view(scores.shape)
