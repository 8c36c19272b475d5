from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunetui.api import Factor, Masks, Net, dataclass, keep_top, mapped, register


@register("grasp", source="Wang et al. 2020, arXiv:2002.07376", schedule="at-init")
@dataclass(frozen=True)
class Grasp:
    """Zero the weights whose removal hurts the gradient flow least, at initialisation unless asked otherwise.

    The score of removing a weight is S = -w x (H g); the highest S go. As in the authors' code, g is the gradient
    summed over all batches, H the sum of the batches' Hessians, and the network is in training mode, where batch norms
    take the statistics of each batch. The authors draw linear layers anew first and look at 10 images a class; here
    the net stays as it was initialised, and all calibration images count.
    """

    temperature: Factor = 200.0
    """Divides the logits, as in the authors' code."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        removal = flow_lost(net, self.temperature)
        return Masks(keep_top({name: -lost for name, lost in removal.items()}, sparsity, "global", within=net))


def flow_lost(net: Net, temperature: float) -> dict[str, Tensor]:
    """The score of removing each weight, -w x (sum over batches of H_b) (sum over batches of g_b)."""
    # Other kernels of attention have no second derivatives.
    with net.in_training() as moving, torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        weights = list(moving.parameters().values())

        def cooler(output: Tensor) -> Tensor:
            wide = output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
            return wide / temperature if output.is_floating_point() else output

        def cooled(*inputs: Any, **named: Any) -> Any:
            return mapped(moving.model(*inputs, **named), cooler)

        flow = [torch.zeros_like(w) for w in weights]
        for batch in net.batches:
            grads = torch.autograd.grad(net.task.loss(cooled, batch), weights)
            flow = [f + g for f, g in zip(flow, grads, strict=True)]
        product = [torch.zeros_like(w) for w in weights]
        for batch in net.batches:
            grads = torch.autograd.grad(net.task.loss(cooled, batch), weights, create_graph=True)
            along = torch.stack([(g * f).sum() for g, f in zip(grads, flow, strict=True)]).sum()
            product = [p + h for p, h in zip(product, torch.autograd.grad(along, weights), strict=True)]
    return {name: -w * p for (name, w), p in zip(net.weights().items(), product, strict=True)}
