from typing import Any

import torch

from prunetui.api import Factor, Masks, Net, dataclass, keep_top, mapped, register


@register("grasp", source="Wang et al. 2020, arXiv:2002.07376")
@dataclass(frozen=True)
class Grasp:
    """Zero the weights whose removal hurts the gradient flow least, meant for the schedule at-init.

    The score of removing a weight is S = -w x (H g), g the gradient and H the Hessian of the loss; the highest S go.
    """

    temperature: Factor = 200.0
    """Divides the logits, as in the authors' code."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        parameters = net.parameters()
        weights = list(parameters.values())
        flow = [torch.zeros_like(w) for w in weights]

        def cooled(*inputs: Any) -> Any:
            return mapped(net.model(*inputs), lambda logits: logits.float() / self.temperature)

        for batch in net.batches:
            with torch.enable_grad():
                loss = net.task.loss(cooled, batch)
                grads = torch.autograd.grad(loss, weights, create_graph=True)
                product = torch.stack([(g * g.detach()).sum() for g in grads]).sum()
                flow = [f + h for f, h in zip(flow, torch.autograd.grad(product, weights), strict=True)]
        keep_score = {name: w.detach() * f for name, w, f in zip(parameters, weights, flow, strict=True)}  # = -S
        return Masks(keep_top(keep_score, sparsity, "global", within=net))
