"""Linear layers and products of matrices, of weights and of activations."""

from __future__ import annotations

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.contraction import makes, output, reads
from prunetui.engine.tracing.operations.elementwise import met, why_of


@operation("linear")
def linear(call: Call) -> Labelled:
    """``input @ weight.T + bias``."""
    read, weight = call.tensor("input"), call.tensor("weight")
    if len(weight.shape) != 2:
        raise NotImplementedError("a weight that is no matrix")
    reads(call, labelled.along(call.labels, read, -1), labelled.along(call.labels, weight, 1), read.why)
    made = makes(call, labelled.along(call.labels, weight, 0), call["bias"])
    return output(call, read, [len(read.shape) - 1], made, -1)


@operation("addmm")
def addmm(call: Call) -> Labelled:
    """``self + mat1 @ mat2``, in which ``self`` is a bias or a matrix."""
    product = contracted(call, call.tensor("mat1"), call.tensor("mat2"))
    added = call.tensor("self")
    for labelling in added.labellings if len(added.shape) == 1 else ():
        call.mark(labelling, "makes")
    return Labelled(call.shape, met(call.labels, [product, added], call.shape))


@operation("baddbmm")
def baddbmm(call: Call) -> Labelled:
    """The same for batches of matrices."""
    product = contracted(call, call.tensor("batch1"), call.tensor("batch2"))
    return Labelled(call.shape, met(call.labels, [product, call.tensor("self")], call.shape))


@operation("matmul", "mm", "bmm", "mv", "dot", "linalg_matmul")
def matmul(call: Call) -> Labelled:
    """A product of two tensors, either of which may be a weight."""
    left, right = list(call.tensors())
    return contracted(call, left, right)


def contracted(call: Call, left: Labelled, right: Labelled) -> Labelled:
    """The product of ``left`` [..., i, k] and ``right`` [..., k, j]; vectors get a dimension of size 1."""
    vectors = (len(left.shape) == 1, len(right.shape) == 1)
    a = _with_dimension(call.labels, left, 0) if vectors[0] else left
    b = _with_dimension(call.labels, right, 1) if vectors[1] else right
    mark_weights(call, a, b)
    product = product_of(call.labels, a, b)
    return labelled.moved(call.labels, product, lambda x: x.reshape(call.shape), call.shape)


def _with_dimension(labels: Labels, value: Labelled, dimension: int) -> Labelled:
    shape = (*value.shape[:dimension], 1, *value.shape[dimension:])
    return labelled.moved(labels, value, lambda x: x.unsqueeze(dimension), shape)


def mark_weights(call: Call, left: Labelled, right: Labelled) -> None:
    """Says what weights do with their dimensions, where factors are weights."""
    _mark_weight(call, left, 0)
    _mark_weight(call, right, 1)


def _mark_weight(call: Call, weight: Labelled, side: int) -> None:
    """A weight on the right reads with its rows and makes with its columns, one on the left the other way round."""
    rank = len(weight.shape)
    for labelling in weight.labellings:
        along = labelled.varies(call.labels, labelling)
        if along == {rank - 1}:
            call.mark(labelled.compact(labelling), "makes" if side else "reads")
        elif along == {rank - 2}:
            call.mark(labelled.compact(labelling), "reads" if side else "makes")


def product_of(labels: Labels, left: Labelled, right: Labelled) -> Labelled:
    """Labels of a product of matrices.

    What is summed over goes together on both sides. Where that is divided among heads as well, [heads, i, k] with
    [heads, k, j], the heads are the channels: all of a head's k go together.
    """
    batch = max(len(left.shape), len(right.shape)) - 2
    row, inner, column = batch, batch + 1, batch + 2
    a = _framed(left, batch, -1)
    b = _framed(right, batch, -3)
    for value in (a, b):
        for labelling in value.labellings:
            along = labelled.varies(labels, labelling)
            if inner in along and len(along) > 1 and not labelled.adapts(labelling):
                labelled.unite_along(labels, labelling, [inner])
    first, second = (labelled.along(labels, value, inner) for value in (a, b))
    if first is not None and second is not None:
        labels.unite(first, second)
    elif first is not None or second is not None:
        fixed = b if first is not None else a
        labels.pin(first if first is not None else second, fixed.why)  # type: ignore[arg-type]
    rest = [_summed(labels, value, inner) for value in (a, b)]
    frame = tuple(max(p, q) for p, q in zip(rest[0].shape, rest[1].shape, strict=True))
    found = met(labels, rest, frame)
    shape = (*frame[:row], frame[row], frame[column])
    return Labelled(shape, tuple(x.squeeze(inner) for x in found), why_of([left, right]))


def _framed(value: Labelled, batch: int, dimension: int) -> Labelled:
    """In the frame [batch, i, k, j], with size 1 along ``dimension``, counted from the end."""
    lead = (1,) * (batch + 2 - len(value.shape)) + value.shape
    place = len(lead) + 1 + dimension
    labellings = tuple(x.reshape(lead).unsqueeze(place) for x in value.labellings)
    return Labelled((*lead[:place], 1, *lead[place:]), labellings, value.why)


def _summed(labels: Labels, value: Labelled, inner: int) -> Labelled:
    shape = (*value.shape[:inner], 1, *value.shape[inner + 1 :])
    kept = tuple(x.narrow(inner, 0, 1) for x in labelled.without(labels, value, [inner]))
    return Labelled(shape, kept, value.why)
