"""Operations that move elements: they are carried out on the labels themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.labels import Labels
from prunetui.engine.tracing.operations.call import Call, operation

INDEXED = "channels are chosen by a fixed index"
SAME = """
clone contiguous detach alias to _to_copy lift_fresh_copy lift_fresh type_as view_as_real_copy requires_grad
_assert_tensor_metadata
"""


@operation(*SAME.split())
def same(call: Call) -> Labelled:
    """Copies and conversions."""
    value = call.tensor("self") if "self" in call.arguments else next(call.tensors())
    return Labelled(call.shape, value.labellings, value.why)


@operation("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
           "_reshape_copy")  # fmt: skip
def reshaped(call: Call) -> Labelled:
    """The same elements in the same order."""
    return labelled.moved(call.labels, call.tensor("self"), lambda x: x.reshape(call.shape), call.shape)


@operation("permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "moveaxis", "flip", "roll", "diagonal",
           "unfold", "numpy_T", "mT", "adjoint", "tril", "triu", "rot90")  # fmt: skip
def rearranged(call: Call) -> Labelled:
    """Dimensions in another order, elements turned round or shifted: by the operation itself."""
    value = call.tensor("self")
    own = {name: argument for name, argument in call.arguments.items() if name != "self"}
    return labelled.moved(call.labels, value, lambda x: call.target(x, *own.values()), call.shape)


@operation("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffled(call: Call) -> Labelled:
    """Channels to places and back. (These operations have no integer version; labels are exact in float64.)"""
    value = call.tensor("self")
    argument = next(value for name, value in call.arguments.items() if name != "self")
    return labelled.moved(call.labels, value, lambda x: call.target(x.double(), argument).long(), call.shape)


@operation("expand", "expand_as", "broadcast_to")
def expanded(call: Call) -> Labelled:
    """Along dimensions of size 1 that become larger, the result adapts to what it meets."""
    value = call.tensor("self")
    own = (1,) * (len(call.shape) - len(value.shape)) + tuple(value.shape)
    larger = [d for d, size in enumerate(call.shape) if own[d] == 1 and size > 1]
    found = labelled.moved(call.labels, value, lambda x: x.reshape(own).expand(call.shape), call.shape)
    return Labelled(call.shape, (*found.labellings, *labelled.adapting(call.shape, larger)), value.why)


@operation("repeat", "tile")
def repeated(call: Call) -> Labelled:
    """As an expansion where it repeats one element, otherwise copies of the channels."""
    value = call.tensor("self")
    times = call["repeats"] if call["repeats"] is not None else call["dims"]
    own = (1,) * (len(call.shape) - len(value.shape)) + tuple(value.shape)
    larger = [d for d, size in enumerate(call.shape) if own[d] == 1 and size > 1]
    found = labelled.moved(call.labels, value, lambda x: _repeat(x.reshape(own), list(times)), call.shape)
    return Labelled(call.shape, (*found.labellings, *labelled.adapting(call.shape, larger)), value.why)


def _repeat(labelling: Tensor, times: list[int]) -> Tensor:
    times = [1] * (labelling.dim() - len(times)) + times
    shape = [size * count for size, count in zip(labelling.shape, times, strict=True)]
    small = labelled.compact(labelling)
    repeats = [count if small.shape[d] == labelling.shape[d] else 1 for d, count in enumerate(times)]
    return small.repeat(repeats).expand(shape)


@operation("repeat_interleave")
def interleaved(call: Call) -> Labelled:
    """Each channel several times in a row."""
    value, dimension = call.tensor("self"), call["dim"]
    if not isinstance(call["repeats"], int):
        raise NotImplementedError("repeats that are computed")
    if dimension is None:
        raise NotImplementedError("no dimension")
    return repeat_rows(call.labels, value, call["repeats"], dimension)


def repeat_rows(labels: Labels, value: Labelled, times: int, dimension: int) -> Labelled:
    """Each index of a dimension ``times`` in a row."""
    shape = list(value.shape)
    shape[dimension] *= times
    return labelled.moved(labels, value, lambda x: x.repeat_interleave(times, dim=dimension), tuple(shape))


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


@operation("cat", "concat", "concatenate", "stack", "hstack", "vstack")
def joined(call: Call) -> Labelled:
    """Parts one after the other. Along other dimensions they meet; a part of fixed size stays."""
    from prunetui.engine.tracing.operations.elementwise import met, why_of

    labels, parts = call.labels, list(call.tensors())
    rank = len(call.shape)
    if call.operation in ("hstack", "vstack"):
        raise NotImplementedError("use cat")
    dimension = (call["dim"] or 0) % rank
    if call.operation == "stack":
        parts = [
            labelled.moved(labels, p, lambda x: x.unsqueeze(dimension), (*p.shape[:dimension], 1, *p.shape[dimension:]))
            for p in parts
        ]
    parts = [part for part in parts if part.shape != (0,)]  # an empty tensor joins with anything
    across = [
        Labelled((*p.shape[:dimension], 1, *p.shape[dimension + 1 :]),
                 tuple(x.narrow(dimension, 0, 1) for x in labelled.without(labels, p, [dimension])), p.why)
        for p in parts
    ]  # fmt: skip
    frame = (*call.shape[:dimension], 1, *call.shape[dimension + 1 :])
    found = [x.expand(call.shape) for x in met(labels, across, frame)]
    pieces = [_along_join(call, part, dimension) for part in parts]
    if any(piece is not None for piece in pieces):
        filled = [
            _fixed(call, part, dimension) if piece is None else piece for piece, part in zip(pieces, parts, strict=True)
        ]
        found.append(_concatenate(filled, dimension, call.shape))
    return Labelled(call.shape, tuple(found), why_of(parts))


def _along_join(call: Call, part: Labelled, dimension: int) -> Tensor | None:
    for labelling in part.labellings:
        if dimension in labelled.varies(call.labels, labelling) and not labelled.adapts(labelling):
            return labelling
    return None


def _fixed(call: Call, part: Labelled, dimension: int) -> Tensor:
    """Fresh labels, pinned, for a part whose size does not change."""
    fresh = call.labels.new(part.shape[dimension])
    call.labels.pin(fresh, part.why)
    return labelled.line(fresh, part.shape, dimension)


def _concatenate(parts: list[Tensor], dimension: int, shape: tuple[int, ...]) -> Tensor:
    """As ``torch.cat``, without repeating what is only repeated in all of them."""
    for d in range(len(shape)):
        if d != dimension and all(part.stride(d) == 0 or part.shape[d] == 1 for part in parts):
            parts = [part.narrow(d, 0, 1) for part in parts]
    return torch.cat(parts, dimension).expand(shape)


@operation("pad", "constant_pad_nd")
def padded(call: Call) -> Labelled:
    """Zeros on both sides; along a dimension of channels they are as many as before, so they stay."""
    value = call.tensor("self")
    result = value
    for i in range(len(call["pad"]) // 2):
        dimension = len(value.shape) - 1 - i
        result = _padded_along(call, result, dimension, call["pad"][2 * i], call["pad"][2 * i + 1])
    return result


def _padded_along(call: Call, value: Labelled, dimension: int, before: int, after: int) -> Labelled:
    if not before and not after:
        return value
    size = value.shape[dimension]
    shape = (*value.shape[:dimension], size + before + after, *value.shape[dimension + 1 :])
    found = []
    for labelling in value.labellings:
        if dimension not in labelled.varies(call.labels, labelling) or labelled.adapts(labelling):
            found.append(labelling.narrow(dimension, 0, 1).expand(shape))
            continue
        inside = labelling.narrow(dimension, max(0, -before), size + min(0, before) + min(0, after))
        sides = []
        for amount in (before, after):
            side = Labelled((*shape[:dimension], max(0, amount), *shape[dimension + 1 :]), why="channels of padding")
            sides.append([_fixed(call, side, dimension)] if amount > 0 else [])
        found.append(_concatenate([*sides[0], inside, *sides[1]], dimension, shape))
    return Labelled(shape, tuple(found), value.why)
