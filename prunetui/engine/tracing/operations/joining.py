"""Operations that put tensors, or zeros, beside a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.elementwise import met, why_of


@operation("cat", "concat", "concatenate", "stack", "hstack", "vstack")
def joined(call: Call) -> Labelled:
    """Parts one after the other. Along other dimensions they meet; a part of fixed size stays."""
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
