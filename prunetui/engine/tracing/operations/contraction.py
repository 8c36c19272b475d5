"""What all layers with weights share: input channels meet a dimension of a weight, another dimension makes outputs."""

from __future__ import annotations

from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call

KERNEL = "positions of a kernel"


def reads(call: Call, read: Tensor | None, weight: Tensor | None, why: str) -> None:
    """Channels of the input go with columns of the weight; where one side is fixed, the other stays."""
    if weight is not None:
        call.mark(weight, "reads")
    if read is not None and weight is not None:
        call.labels.unite(read, weight)
    elif weight is not None:
        call.labels.pin(weight, why)
    elif read is not None:
        call.labels.pin(read, "a weight of fixed size reads it")


def makes(call: Call, made: Tensor | None, bias: Labelled | None) -> Tensor | None:
    """Rows of the weight go with entries of the bias; returns the labels of the output channels."""
    if made is not None:
        call.mark(made, "makes")
    if bias is None or not bias.shape:
        return made
    added = labelled.along(call.labels, bias, 0)
    if added is None:
        if made is not None and bias.shape[0] > 1:
            call.labels.pin(made, bias.why)
        return made
    call.mark(added, "makes")
    if made is None:
        call.labels.pin(added, "the weight beside it has a fixed size")
        return None
    call.labels.unite(added, made)
    return made


def output(call: Call, read: Labelled, consumed: list[int], made: Tensor | None, dimension: int) -> Labelled:
    """Labels of the output: what the weight made, and what lay along dimensions that the layer does not touch."""
    found = []
    for labelling in labelled.without(call.labels, read, consumed):
        first = labelled.first_of(labelling, [d % len(read.shape) for d in consumed])
        found.append(first.expand(call.shape))
    if made is not None:
        found.append(labelled.line(made, call.shape, dimension))
    return Labelled(call.shape, tuple(found))


def pin_kernel(call: Call, weight: Labelled, dimensions: tuple[int, ...]) -> None:
    """All but the channels of a convolution's weight stays."""
    for labelling in labelled.without(call.labels, weight, dimensions):
        call.labels.pin(labelled.compact(labelling), KERNEL)
