"""What goes into a network, of any kind, as small calls that it can be counted and proved with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.source import called, mapped, tensors_in
from prunetui.engine.models.in_memory import modes_kept
from prunetui.engine.tracing import example_calls
from prunetui.engine.tracing.example_calls import PROBE_SIZE
from prunetui.engine.tracing.probe_network import Example

FEW = 2
"""Examples of a call that a network is proved with."""
SHORTER = 4
"""The second call is shorter by this part of its length."""


def one_example(network: nn.Module, inputs: Any) -> Any:
    """The inputs of one example, a batch of one; all of them where the network does not take fewer (as of a graph)."""
    return _first_computed(network, [_examples(inputs, 1)], inputs)


def probe_calls(network: nn.Module, inputs: Any) -> list[Example]:
    """Up to two calls that differ in size where the network takes that; it lies on the CPU, as its inputs do."""
    if _is_images(inputs) and is_computed(network, inputs[:1]):
        return example_calls.probe_calls(network, inputs[:1])
    few = _first_computed(network, [_smaller(_examples(inputs, FEW)), _examples(inputs, FEW)], inputs)
    other = next((given for given in _of_other_size(few, inputs) if is_computed(network, given)), None)
    return [_call(given) for given in ([few] if other is None else [few, other])]


def is_computed(network: nn.Module, inputs: Any) -> bool:
    """Whether a network takes these inputs, in evaluation mode."""
    with modes_kept(network), torch.no_grad():
        try:
            called(network.eval(), inputs)
        except Exception:  # noqa: BLE001 - whatever the network's own code raises: these are not for it
            return False
    return True


def shapes_of(inputs: Any) -> str:
    """What inputs are, in words: their shapes and types."""
    if isinstance(inputs, Tensor):
        return f"{list(inputs.shape)} of {str(inputs.dtype).removeprefix('torch.')}"
    if isinstance(inputs, Mapping):
        return "{" + ", ".join(f"{name}: {shapes_of(value)}" for name, value in inputs.items()) + "}"
    if isinstance(inputs, tuple | list):
        return f"({', '.join(map(shapes_of, inputs))})"
    return type(inputs).__name__


def _call(inputs: Any) -> Example:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def _first_computed(network: nn.Module, candidates: list[Any], otherwise: Any) -> Any:
    return next((given for given in candidates if is_computed(network, given)), otherwise)


def _is_images(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.is_floating_point()


def _examples(inputs: Any, count: int) -> Any:
    """The first examples of a batch: of tensors that are as long as the first one."""
    length = next((len(tensor) for tensor in tensors_in(inputs) if tensor.dim()), 0)
    return mapped(inputs, lambda t: t[:count] if t.dim() and len(t) == length else t)


def _smaller(inputs: Any) -> Any:
    """Cut to ``PROBE_SIZE`` on the dimensions of maps and volumes."""

    def cut(tensor: Tensor) -> Tensor:
        inner = (slice(PROBE_SIZE),) * (tensor.dim() - 2) if tensor.dim() >= 4 else ()
        return tensor[(slice(None), slice(None)) + inner] if inner else tensor  # noqa: RUF005 - no star there in Python 3.10

    return mapped(inputs, cut)


def _of_other_size(few: Any, whole: Any) -> Iterator[Any]:
    """The same inputs shorter in one dimension, the last or the second; else one example more."""
    sizes = [tensor.shape for tensor in tensors_in(few)]
    for dimension in (-1, 1):
        size = next((shape[dimension] for shape in sizes if len(shape) > 1), 0)
        if size >= SHORTER:
            yield mapped(few, _shortened(dimension, size))
    more = _smaller(_examples(whole, FEW + 1))
    if [tensor.shape for tensor in tensors_in(more)] != sizes:
        yield more


def _shortened(dimension: int, size: int) -> Callable[[Tensor], Tensor]:
    def shorten(tensor: Tensor) -> Tensor:
        fits = tensor.dim() > 1 and tensor.shape[dimension] == size
        return tensor.narrow(dimension, 0, size - size // SHORTER) if fits else tensor

    return shorten
