"""Operations that make each element from the elements at its place: what meets there goes together."""

from __future__ import annotations

from itertools import combinations

from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled, Shape
from prunetui.engine.tracing.operations.call import Call, operation

WRITTEN = "it is written into a tensor at fixed places"
UNARY = """
relu gelu silu sigmoid tanh hardswish hardsigmoid hardtanh leaky_relu elu selu celu mish exp exp2 expm1 neg
relu6 sqrt rsqrt abs softplus log log1p log2 erf sin cos clamp clamp_min clamp_max log_sigmoid square
reciprocal sign floor ceil round trunc dropout feature_dropout alpha_dropout rrelu softsign isnan isinf
logical_not bitwise_not nan_to_num softshrink hardshrink tanhshrink threshold sgn sinh cosh atan positive
bernoulli native_dropout
"""
BINARY = """
add sub mul div true_divide floor_divide remainder fmod rsub maximum minimum pow where addcmul addcdiv
masked_fill eq ne gt lt ge le logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor lerp atan2
__and__ __or__ heaviside logaddexp xlogy
"""


@operation(*UNARY.split(), *BINARY.split())
def elementwise(call: Call) -> Labelled:
    """Activations, arithmetic and comparisons, broadcasting included."""
    operands = list(call.tensors())
    for operand in operands if len(operands) > 1 else ():
        for labelling in operand.labellings:
            call.mark(labelled.compact(labelling), "scales")
    return Labelled(call.shape, met(call.labels, operands, call.shape), why_of(operands))


def why_of(operands: list[Labelled]) -> str:
    """The reason of the first tensor that has one of its own."""
    return next((operand.why for operand in operands if operand.why != labelled.FIXED), labelled.FIXED)


class _Piece:
    """One labelling of one operand, in the frame of the result."""

    def __init__(self, labels: Labels, owner: int, labelling: Tensor) -> None:
        self.labels, self.owner, self.labelling = labels, owner, labelling
        self.adapts = labelled.adapts(labelling)
        self.update()

    def update(self) -> None:
        self.varies = labelled.varies(self.labels, self.labelling)


def met(labels: Labels, operands: list[Labelled], shape: Shape) -> tuple[Tensor, ...]:
    """Unites what meets when operands are broadcast to ``shape``; returns the labellings of the result.

    An operand of size 1 along a dimension says nothing about it. One that covers only some of the dimensions that a
    labelling divides leaves the leading ones as channels: heads [heads, width] that meet [width] go as whole heads.
    """
    rank = len(shape)
    extents: list[set[int]] = []
    pieces: list[_Piece] = []
    for owner, operand in enumerate(operands):
        own = (1,) * (rank - len(operand.shape)) + tuple(operand.shape)
        extents.append({d for d in range(rank) if own[d] > 1})
        for labelling in operand.labellings:
            piece = _Piece(labels, owner, labelling.reshape(own).expand(shape))
            if piece.varies:
                pieces.append(piece)
    bound = [piece for piece in pieces if not piece.adapts]
    for piece in bound:
        _leave_whole(labels, piece, [extent for owner, extent in enumerate(extents) if owner != piece.owner])
    for first, second in combinations(bound, 2):
        if first.varies & second.varies:
            labelled.unite(labels, first.labelling, second.labelling)
            first.update()
            second.update()
    for piece in bound:
        for owner, extent in enumerate(extents):
            divided = any(p.owner == owner and p.varies & piece.varies for p in pieces)
            if owner != piece.owner and piece.varies and piece.varies <= extent and not divided:
                labels.pin(labelled.compact(piece.labelling), operands[owner].why)
    return _of_result(pieces, extents)


def _leave_whole(labels: Labels, piece: _Piece, others: list[set[int]]) -> None:
    """Unite along dimensions so that every other operand covers all or none of those along which the piece varies."""
    for extent in others:
        shared = piece.varies & extent
        if shared and shared != piece.varies:
            leading = min(piece.varies) in shared
            labelled.unite_along(labels, piece.labelling, piece.varies - shared if leading else shared)
            piece.update()


def _of_result(pieces: list[_Piece], extents: list[set[int]]) -> tuple[Tensor, ...]:
    """One labelling for every dimension that is divided; adapting ones only where no operand has a fixed size."""
    result: list[Tensor] = []
    taken: set[int] = set()
    for piece in sorted(pieces, key=lambda piece: piece.adapts):
        if not piece.varies or piece.varies & taken:
            continue
        if piece.adapts:
            divided = {p.owner for p in pieces if p.varies & piece.varies}
            if any(piece.varies & extent for owner, extent in enumerate(extents) if owner not in divided):
                continue
        taken |= piece.varies
        result.append(piece.labelling)
    return tuple(result)


@operation("copy")
def copied(call: Call) -> Labelled:
    """Values written into a part of a tensor, which they meet; into one of adapting size they would give it theirs."""
    target, source = call.tensor("self"), call.tensor("src")
    if any(labelled.adapts(labelling) for labelling in target.labellings):
        labelled.pin(call.labels, source, WRITTEN)
        return Labelled(call.shape)
    return Labelled(call.shape, met(call.labels, [target, source], call.shape), target.why)


@operation("filled", "index_put", "scatter", "masked_scatter", "slice_scatter", "select_scatter", "index_fill")
def written(call: Call) -> Labelled:
    """Values written into a part of a tensor: which part depends on fixed places, so all of it stays."""
    for value in call.tensors():
        labelled.pin(call.labels, value, WRITTEN)
    return Labelled(call.shape)


@operation("prelu")
def prelu(call: Call) -> Labelled:
    """One slope for all channels, or one for each of dimension 1."""
    value, slopes = call.tensor("self"), call.tensor("weight")
    if slopes.shape[0] > 1:
        rank = len(value.shape)
        view = labelled.moved(
            call.labels, slopes, lambda labelling: labelling.view(-1, *[1] * (rank - 2)), (-1, *[1] * (rank - 2))
        )
        view = Labelled((slopes.shape[0], *[1] * (rank - 2)), view.labellings)
        for labelling in slopes.labellings:
            call.mark(labelling, "scales")
        return Labelled(call.shape, met(call.labels, [value, view], call.shape), value.why)
    return Labelled(call.shape, value.labellings, value.why)


@operation("arange", "full", "zeros", "ones", "empty", "scalar_tensor", "rand", "randn", "new_zeros", "new_ones",
           "new_full", "new_empty", "linspace", "eye", "randperm", "randint", "zeros_like", "ones_like", "full_like",
           "rand_like", "randn_like", "empty_like", "fill", "zero")  # fmt: skip
def constant(call: Call) -> Labelled:
    """Tensors made from nothing, whose size is asked from what they are for."""
    return Labelled(call.shape, labelled.adapting(call.shape))


@operation("glu")
def glu(call: Call) -> Labelled:
    """Half of the channels gates the other half."""
    value, dimension = call.tensor("self"), call["dim"]
    half = value.shape[dimension] // 2
    parts = [
        labelled.moved(call.labels, value, lambda x, i=i: x.narrow(dimension, i * half, half), call.shape)  # type: ignore[misc]
        for i in range(2)
    ]
    return Labelled(call.shape, met(call.labels, parts, call.shape), value.why)
