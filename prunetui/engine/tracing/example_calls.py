"""Calls with which a network is counted and proved: made from an example of its inputs, small, in two sizes.

Floats are random, for a proof on zeros would hold of anything, unless the network can only be computed with the
example's own. Whole numbers say what is computed (words, edges, lengths), so they stay the example's: a second example
has those of the first in another order, which keeps how often each occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunetui.api.source import arguments_of, mapped, tensors_in
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.engine.tracing.probe_network import Example

PROBE_SIZE = 64
"""Images of this side are enough to prove a network that takes them."""
PROBE_LENGTH = 16
"""And sequences of this length."""
WIDER = 16
"""Pixels by which the second images are wider, where the network takes that."""
BATCH, LARGE = 2, 5e9
"""A forward pass of more multiply-accumulates takes seconds in float64, and a proof dozens of passes."""
EVERY_MODE = 2
Shape = tuple[int, ...]
Resize = Callable[[Shape], Shape]
Change = Callable[[Tensor, Shape, int, torch.Generator], Tensor]
"""From a tensor of the example, the shape that it should have, and a number of examples to that of a call."""


def one_example(network: nn.Module, inputs: Any) -> Any:
    """The inputs of one example, a batch of one, of a batch of several.

    Where the network does not take one alone, two; and all of them where it takes no fewer, as of a graph.
    """
    fewer = (_examples(inputs, count) for count in (1, BATCH))
    return next((given for given in fewer if False in _modes(network, arguments_of(given))), inputs)


def _examples(inputs: Any, count: int) -> Any:
    """The first examples of a batch: of tensors that are as long as the first one."""
    length = next((len(tensor) for tensor in tensors_in(inputs) if tensor.dim()), 0)
    return mapped(inputs, lambda t: t[:count] if t.dim() and len(t) == length else t)


def probe_calls(model: nn.Module, example: Any, macs: int = 0) -> list[Example]:
    """One or two calls with two random examples each, as small as the network takes; the second of another size.

    A network with more multiply-accumulates than ``LARGE`` gets one example each, unless it has batch norms.
    ``example`` is a batch of one, as of ``one_example``; what has no first dimension of one, as a graph, stays one.
    Masks and other numbers that are only 0 and 1, or all the same, stay as they are.
    """
    return calls_like(model, arguments_of(example), macs)


def calls_like(model: nn.Module, example: Example, macs: int = 0) -> list[Example]:
    """The same of the arguments of a call, as they are given: positional and named."""
    generator = torch.Generator().manual_seed(0)
    over_batch = any(isinstance(module, _NormBase) for module in model.modules())
    batch = 1 if macs > LARGE and not over_batch else BATCH

    def inputs_of(change: Change, *resizes: Resize) -> Example:
        return mapped(example, lambda tensor: change(tensor, _resized(tuple(tensor.shape), resizes), batch, generator))

    shapes = [tuple(tensor.shape) for tensor in tensors_in(example)]
    whole = [tuple(t.shape) for t in tensors_in(example) if not t.is_floating_point()]
    change, modes = _taken(model, inputs_of)
    drawn = partial(inputs_of, change)
    small = [resize for resize in _smaller(shapes, whole) if _modes(model, drawn(resize)) == modes][:1]
    calls = [drawn(*small)]
    for resize in _others([_resized(shape, small) for shape in shapes], [_resized(shape, small) for shape in whole]):
        if _modes(model, inputs := drawn(*small, resize)) == modes:
            calls.append(inputs)
            break
    return calls


def _resized(shape: Shape, resizes: tuple[Resize, ...] | list[Resize]) -> Shape:
    for resize in resizes:
        shape = resize(shape)
    return shape


def _taken(model: nn.Module, inputs_of: Callable[[Change], Example]) -> tuple[Change, set[bool]]:
    """How inputs are made so that the network takes them in most modes, and which these are."""
    best: tuple[Change, set[bool]] = (_drawn, set())
    for change in (_drawn, _in_order, _kept):
        modes = _modes(model, inputs_of(change))
        if len(modes) > len(best[1]):
            best = change, modes
        if len(modes) == EVERY_MODE:
            break
    return best


def _drawn(tensor: Tensor, shape: Shape, batch: int, generator: torch.Generator) -> Tensor:
    """Random floats, but for masks that are floats, and whole numbers as of ``_in_order``."""
    if not tensor.is_floating_point() or _is_mask(tensor):
        return _in_order(tensor, shape, batch, generator)
    return torch.randn(_batched(shape, batch), generator=generator).to(tensor.dtype)


def _in_order(tensor: Tensor, shape: Shape, batch: int, generator: torch.Generator) -> Tensor:
    """The numbers of a tensor; further examples have those of the first in another order, unless it is a mask."""
    first = _repeated(tensor, shape)
    found = _repeated(first, _batched(shape, batch))
    if first.shape == found.shape or tensor.is_floating_point() or tensor.is_complex() or _is_mask(tensor):
        return found
    orders = [torch.randperm(first.numel(), generator=generator) for _ in range(batch - 1)]
    return torch.cat([first, *(first.flatten()[order].view(first.shape) for order in orders)])


def _kept(tensor: Tensor, shape: Shape, batch: int, generator: torch.Generator) -> Tensor:
    """The values of a tensor, the same in each example."""
    return _repeated(tensor, _batched(shape, batch))


def _batched(shape: Shape, batch: int) -> Shape:
    """A batch of one becomes one of ``batch``."""
    return (batch, *shape[1:]) if shape and shape[0] == 1 else shape


def _is_mask(tensor: Tensor) -> bool:
    """Whether it says which and not how much: zeros and ones, or what is added to scores, with infinities."""
    zeros, ones = tensor == 0, tensor == 1
    if not tensor.is_floating_point():
        return bool((zeros | ones).all())
    return not bool(tensor.isfinite().all()) or (bool(zeros.any()) and bool(ones.any()) and bool((zeros | ones).all()))


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


def _modes(model: nn.Module, inputs: Example) -> set[bool]:
    """In which modes, training or not, a network takes the arguments of a call and gives finite numbers."""
    found = set()
    with unchanged(model), torch.no_grad():
        for training in (False, True):
            model.train(training)
            try:
                made = output_tensors(model(*inputs[0], **inputs[1]))
            except Exception:  # noqa: BLE001 - whatever the network's own code raises
                continue
            if not any(t.is_floating_point() and t.numel() and not bool(t.isfinite().any()) for t in made):
                found.add(training)
    return found
