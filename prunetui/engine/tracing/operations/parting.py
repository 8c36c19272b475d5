"""Operations that take a part of a tensor: the parts that are left must stay parts of the same kind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation

INDEXED = "channels are chosen by a fixed index"


@operation("slice", "narrow")
def sliced(call: Call) -> Labelled:
    """A part of the channels. An equal part (a half, the second quarter) keeps step with the other parts."""
    value = call.tensor("self")
    dimension = call["dim"] % len(value.shape)
    size = value.shape[dimension]
    if call.operation == "narrow":
        start, stop, step = call["start"], call["start"] + call["length"], 1
    else:
        start, stop, step = call["start"] or 0, call["end"], call["step"]
        start, stop, step = slice(start, stop, step).indices(size)
    length = len(range(start, stop, step))
    for labelling in value.labellings:
        if dimension not in labelled.varies(call.labels, labelling) or length in (0, size):
            continue
        if step > 1 and size % step == 0:  # one of every few: each few go together, so that the steps stay the same
            _unite_parts(call, labelling, dimension, size // step, together=step)
        elif step == 1 and size % length == 0 and start % length == 0:
            _unite_parts(call, labelling, dimension, size // length)
    index = [slice(None)] * dimension + [slice(start, stop, step)]
    return labelled.moved(call.labels, value, lambda x: x[tuple(index)], call.shape)


def _unite_parts(call: Call, labelling: Tensor, dimension: int, parts: int, together: int = 0) -> None:
    """Unite channels at the same place of equal parts; with ``together``, instead those within each part."""
    small = labelled.compact(labelling)
    if small.shape[dimension] == 1:
        return
    divided = small.reshape(*small.shape[:dimension], parts, -1, *small.shape[dimension + 1 :])
    labelled.unite_along(call.labels, divided, [dimension + 1 if together else dimension])


@operation("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes",
           "tensor_split", "unbind")  # fmt: skip
def divided(call: Call) -> list[Labelled]:
    """Parts of one tensor; those of equal size keep step with each other."""
    value = call.tensor("self")
    dimension = (call["dim"] or 0) % len(value.shape)
    drop = call.operation == "unbind"
    sizes = [1 if drop else shape[dimension] for shape in call.shapes]
    for labelling in value.labellings:
        along = labelled.varies(call.labels, labelling)
        if dimension not in along:
            continue
        if drop and along == {dimension}:
            call.labels.pin(labelled.compact(labelling), INDEXED)
        elif len(set(sizes)) == 1 and sizes[0]:
            _unite_parts(call, labelling, dimension, len(sizes))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        labelled.moved(call.labels, value, lambda x, a=a, n=n: _part(x, dimension, a, n, drop), shape)  # type: ignore[misc]
        for a, n, shape in zip(starts, sizes, call.shapes, strict=True)
    ]


def _part(labelling: Tensor, dimension: int, start: int, size: int, drop: bool) -> Tensor:
    return labelling.select(dimension, start) if drop else labelling.narrow(dimension, start, size)


@operation("select")
def selected(call: Call) -> Labelled:
    """One index of a dimension: the query of a fused projection, or the first token."""
    value = call.tensor("self")
    dimension = call["dim"] % len(value.shape)
    for labelling in value.labellings:
        along = labelled.varies(call.labels, labelling)
        if along == {dimension}:
            call.labels.pin(labelled.compact(labelling), INDEXED)
        elif dimension in along:
            labelled.unite_along(call.labels, labelling, [dimension])
    return labelled.moved(call.labels, value, lambda x: x.select(dimension, call["index"]), call.shape)


@operation("index_select", "index", "gather", "take_along_dim")
def indexed(call: Call) -> Labelled:
    """Elements at places that a tensor names. Where channels lie along the indexed dimension they stay."""
    value = call.tensor("self")
    given: list[Any] = [None] * call["dim"] + [call["index"]] if call.operation == "index_select" else call["indices"]
    if call.operation in ("gather", "take_along_dim") or given is None:
        raise NotImplementedError("indices that are computed for every element")
    along = {d for d, index in enumerate(given) if index is not None}
    for labelling in value.labellings:
        if labelled.varies(call.labels, labelling) & along:
            call.labels.pin(labelled.compact(labelling), INDEXED)
    kept = labelled.without(call.labels, value, along)
    index = tuple(
        slice(None) if one is None else torch.zeros(one.shape, dtype=torch.int64) for one in given
    )  # which of the equal labels does not matter
    return labelled.moved(call.labels, Labelled(value.shape, tuple(kept), value.why), lambda x: x[index], call.shape)
