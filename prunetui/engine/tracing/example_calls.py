"""Calls with which a network is computed to prove it: random inputs like an example's, small, in two sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunetui.api.source import arguments_of, called, mapped, tensors_in
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.probe_network import Example

PROBE_SIZE = 64
"""Images of this side are enough to prove a network that takes them."""
PROBE_LENGTH = 16
"""And sequences of this length."""
WIDER = 16
"""Pixels by which the second images are wider, where the network takes that."""
BATCH, LARGE = 2, 5e9
"""A forward pass of more multiply-accumulates takes seconds in float64, and a proof dozens of passes."""
Shape = tuple[int, ...]
Resize = Callable[[Shape], Shape]


def probe_calls(model: nn.Module, example: Any, macs: int = 0) -> list[Example]:
    """One or two calls with two random examples each, as small as the network takes; the second of another size.

    A network with more multiply-accumulates than ``LARGE`` gets one example each, unless it has batch norms.
    ``example`` is a batch of one. Floats are drawn anew, and whole numbers between the least and the largest that the
    example has; masks and other numbers that are only 0 and 1, or all the same, stay as they are.
    """
    generator = torch.Generator().manual_seed(0)
    over_batch = any(isinstance(module, _NormBase) for module in model.modules())
    batch = 1 if macs > LARGE and not over_batch else BATCH

    def drawn(*resizes: Resize) -> Any:
        return mapped(example, lambda tensor: _drawn(tensor, _resized(tuple(tensor.shape), resizes), batch, generator))

    shapes = [tuple(tensor.shape) for tensor in tensors_in(example)]
    whole = [tuple(t.shape) for t in tensors_in(example) if not t.is_floating_point()]
    modes = _modes(model, drawn())
    small = [resize for resize in _smaller(shapes, whole) if _modes(model, drawn(resize)) == modes][:1]
    calls = [drawn(*small)]
    for resize in _others([_resized(shape, small) for shape in shapes], [_resized(shape, small) for shape in whole]):
        if _modes(model, inputs := drawn(*small, resize)) == modes:
            calls.append(inputs)
            break
    return [arguments_of(inputs) for inputs in calls]


def _resized(shape: Shape, resizes: tuple[Resize, ...] | list[Resize]) -> Shape:
    for resize in resizes:
        shape = resize(shape)
    return shape


def _drawn(tensor: Tensor, shape: Shape, batch: int, generator: torch.Generator) -> Tensor:
    """Random values like a tensor's; a batch of one becomes one of ``batch``."""
    if shape and shape[0] == 1:
        shape = (batch, *shape[1:])
    if tensor.is_floating_point():
        return torch.randn(shape, generator=generator).to(tensor.dtype)
    least, most = (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, 0)
    if tensor.dtype == torch.bool or tensor.is_complex() or least == most or (least, most) == (0, 1):
        return _repeated(tensor, shape)
    return torch.randint(least, most + 1, shape, generator=generator).to(tensor.dtype)


def _repeated(tensor: Tensor, shape: Shape) -> Tensor:
    """The values of a tensor in a larger or smaller shape, from the beginning where they do not suffice."""
    for d, size in enumerate(shape):
        tensor = tensor.index_select(d, torch.arange(size) % max(1, tensor.shape[d]))
    return tensor


# Other sizes of the same inputs -------------------------------------------------------------------------


def _smaller(shapes: list[Shape], whole: list[Shape]) -> Iterator[Resize]:
    """Ways to make inputs smaller: images, and sequences; ``whole`` are the shapes of tensors of whole numbers."""
    if any(len(shape) > 3 and min(shape[2:]) > PROBE_SIZE for shape in shapes):
        yield lambda shape: (*shape[:2], *(min(size, PROBE_SIZE) for size in shape[2:])) if len(shape) > 3 else shape
    elif (length := _length(shapes, whole)) > PROBE_LENGTH:
        yield _with_length(length, PROBE_LENGTH)


def _others(shapes: list[Shape], whole: list[Shape]) -> Iterator[Resize]:
    """Ways to make inputs of another size: wider images, shorter sequences, and shorter signals."""
    if any(len(shape) > 3 for shape in shapes):
        yield lambda shape: (*shape[:-1], shape[-1] + WIDER) if len(shape) > 3 else shape
        return
    for length in (_length(shapes, whole), next((shape[2] for shape in shapes if len(shape) == 3), 0)):
        if length > 2:
            yield _with_length(length, 2 * length // 3)


def _length(shapes: list[Shape], whole: list[Shape]) -> int:
    """How long sequences are: of words [N, T], or of vectors [N, T, C]; 0 where there are none."""
    found = [shape[1] for shape in whole if len(shape) == 2] or [shape[1] for shape in shapes if len(shape) == 3]
    return found[0] if found else 0


def _with_length(old: int, new: int) -> Resize:
    return lambda shape: (*shape[:1], *(new if size == old else size for size in shape[1:]))


def _modes(model: nn.Module, inputs: Any) -> set[bool]:
    """In which modes, training or not, a network takes inputs."""
    found = set()
    with unchanged(model), torch.no_grad():
        for training in (False, True):
            model.train(training)
            try:
                called(model, inputs)
            except Exception:  # noqa: BLE001 - whatever the network's own code raises
                continue
            found.add(training)
    return found
