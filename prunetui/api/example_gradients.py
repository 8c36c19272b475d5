"""Gradients of single examples: all of a few at once where torch's vmap follows the network, else one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunetui.api.constraints import Constrained
from prunetui.api.functional_call import called_with
from prunetui.api.source import Batch, count_of, mapped, tensors_in
from prunetui.api.task import Task

PER_IMAGE_CHUNK = 16
"""Images whose single gradients are in memory together: 16 x 45 MB for ResNet-18."""


def example_gradients(net: Constrained, task: Task, batches: Iterator[Batch]) -> Iterator[dict[str, Tensor]]:
    """Gradients of each example's own loss by layer name, a few examples at a time: [examples, *weight's shape]."""
    chosen = {f"{name}.weight": weight.detach() for name, weight in net.parameters().items()}
    names = {f"{name}.weight": name for name in net.layers()}
    weights_of_layers = set(map(id, net.parameters().values()))  # of which some have other names, too
    parameters = {n: p.detach() for n, p in net.model.named_parameters() if id(p) not in weights_of_layers}
    buffers = dict(net.model.named_buffers())

    def loss(weights: dict[str, Tensor], example: Batch) -> Tensor:
        state = {**parameters, **weights, **buffers}

        def model(*inputs: Any, **named: Any) -> Any:
            return called_with(net.model, state, inputs, named)

        return task.loss(model, mapped(example, lambda tensor: tensor[None]))

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    together = True
    for batch in batches:
        for i in range(0, count_of(batch), PER_IMAGE_CHUNK):
            part = mapped(batch, itemgetter(slice(i, i + PER_IMAGE_CHUNK)))
            if together and count_of(part) > 1:  # vmap over one example falls back to slow paths
                try:
                    with sdpa_kernel(SDPBackend.MATH):  # other kernels of attention have no batched version
                        found = each(chosen, part)
                except (RuntimeError, NotImplementedError, ValueError):  # such as a branch on values of the data
                    together = False
            if not together or count_of(part) == 1:
                found = _one_by_one(net, task, part)
            yield {names.get(name, name): gradients for name, gradients in found.items()}


def _one_by_one(net: Constrained, task: Task, part: Batch) -> dict[str, Tensor]:
    weights = net.parameters()
    found = []
    for i in range(count_of(part)):
        with torch.enable_grad(), differentiable(list(weights.values())):
            loss = task.loss(net.model, mapped(part, itemgetter(slice(i, i + 1))))
            found.append(gradients_or_zeros(net, loss, weights))
    return {name: torch.stack([each[name] for each in found]) for name in weights}


def gradients_or_zeros(net: Constrained, loss: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of what took part; zeros of layers that are not called in evaluation, which change nothing."""
    found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=bool(net.constraints.uncalled))
    every = zip(tensors.items(), found, strict=True)
    return {name: torch.zeros_like(tensor) if of is None else of for (name, tensor), of in every}


@contextmanager
def differentiable(values: Any) -> Iterator[None]:
    """Inputs of a network, or weights that are frozen, are differentiated with respect to; then as they were."""
    frozen = [tensor for tensor in tensors_in(values) if tensor.is_floating_point() and not tensor.requires_grad]
    for tensor in frozen:
        tensor.requires_grad_()
    try:
        yield
    finally:
        for tensor in frozen:
            tensor.requires_grad_(False)
