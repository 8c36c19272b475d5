"""How channels lie in a tensor: labels along its dimensions.

A labelling is a tensor of labels shaped like the tensor itself (with stride 0 where nothing varies, so that it costs
nothing). It divides the tensor along the dimensions in which its labels vary. A tensor has one labelling for every way
in which it is divided: a weight [out, in] has two, activations [batch, channels, height, width] have one. Along a
dimension in which no labelling varies, a tensor has a fixed size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunetui.engine.tracing.label_classes import Labels

Shape = tuple[int, ...]
FIXED = "it meets a tensor of fixed size"


@dataclass(frozen=True)
class Labelled:
    """A tensor of the network, as the graph sees it."""

    shape: Shape
    labellings: tuple[Tensor, ...] = ()
    why: str = FIXED
    """Why it has a fixed size where nothing labels it: the reason for what meets it there."""


def compact(labelling: Tensor) -> Tensor:
    """The same labelling with size 1 along the dimensions in which it is only repeated."""
    for d, (size, stride) in enumerate(zip(labelling.shape, labelling.stride(), strict=True)):
        if stride == 0 and size > 1:
            labelling = labelling.narrow(d, 0, 1)
    return labelling


def varies(labels: Labels, labelling: Tensor) -> frozenset[int]:
    """The dimensions along which a labelling's classes differ."""
    roots = labels.roots(compact(labelling))
    return frozenset(
        d for d, size in enumerate(roots.shape) if size > 1 and bool((roots != roots.narrow(d, 0, 1)).any())
    )


def adapts(labelling: Tensor) -> bool:
    """Whether a labelling only says that the tensor's size follows that of what it meets."""
    return labelling.numel() > 0 and bool(compact(labelling).flatten()[0] < 0)


def unite_along(labels: Labels, labelling: Tensor, dimensions: Iterable[int]) -> None:
    """What differs only along these dimensions goes together."""
    small = compact(labelling)
    for d in dimensions:
        if small.shape[d] > 1:
            labels.unite(small, small.narrow(d, 0, 1))


def unite(labels: Labels, left: Tensor, right: Tensor) -> None:
    """Element by element, of labellings of one shape."""
    labels.unite(compact(left), compact(right))


def first_of(labelling: Tensor, dimensions: Iterable[int]) -> Tensor:
    """The labelling where it is constant along ``dimensions``, kept with size 1."""
    for d in dimensions:
        labelling = labelling.narrow(d, 0, 1)
    return labelling


def line(vector: Tensor, shape: Sequence[int], dimension: int) -> Tensor:
    """Labels of one dimension as a labelling of a whole tensor."""
    dimension %= len(shape)
    return vector.view([-1 if d == dimension else 1 for d in range(len(shape))]).expand(tuple(shape))


def adapting(shape: Sequence[int], dimensions: Iterable[int] | None = None) -> tuple[Tensor, ...]:
    """Labellings that say that ``dimensions`` (all by default) follow what the tensor meets."""
    chosen = range(len(shape)) if dimensions is None else dimensions
    return tuple(line(-torch.arange(1, shape[d] + 1), shape, d) for d in chosen if shape[d] > 1)


def along(labels: Labels, value: Labelled, dimension: int) -> Tensor | None:
    """The labels of one dimension's indices, after uniting what lies at one index; None where its size is fixed."""
    if not value.shape:
        return None
    dimension %= len(value.shape)
    for labelling in value.labellings:
        found = varies(labels, labelling)
        if dimension in found and not adapts(labelling):
            unite_along(labels, labelling, found - {dimension})
            return first_of(labelling, [d for d in range(len(value.shape)) if d != dimension]).flatten()
    return None


def without(labels: Labels, value: Labelled, dimensions: Iterable[int]) -> list[Tensor]:
    """The labellings that do not vary along these dimensions."""
    gone = {d % len(value.shape) for d in dimensions} if value.shape else set()
    return [labelling for labelling in value.labellings if not varies(labels, labelling) & gone]


def pin(labels: Labels, value: Labelled, reason: str) -> None:
    """All channels of a tensor stay."""
    for labelling in value.labellings:
        labels.pin(compact(labelling), reason)


def moved(labels: Labels, value: Labelled, move: Callable[[Tensor], Tensor], shape: Shape) -> Labelled:
    """The tensor after a movement of its elements, which the labellings make alike."""
    labellings = [move(labelling) for labelling in value.labellings]
    kept = tuple(labelling for labelling in labellings if varies(labels, labelling))
    return Labelled(shape, kept, value.why)
