"""Convolutions of one, two and three dimensions, transposed and grouped ones included."""

from __future__ import annotations

from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.contraction import makes, output, pin_kernel, reads


@operation("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "conv_transpose1d", "conv_transpose2d",
           "conv_transpose3d")  # fmt: skip
def convolution(call: Call) -> Labelled:
    """Weights [out, in / groups, ...], transposed [in, out / groups, ...]."""
    read, weight = call.tensor("input"), call.tensor("weight")
    places = len(weight.shape) - 2
    channel = len(read.shape) - places - 1  # 1, or 0 without a batch
    transposed = "transpose" in call.operation or bool(call["transposed"])
    groups = int(call["groups"])
    pin_kernel(call, weight, (0, 1))
    inputs = labelled.along(call.labels, read, channel)
    first, second = (labelled.along(call.labels, weight, d) for d in (0, 1))
    if groups == 1:
        columns, rows = (first, second) if transposed else (second, first)
        reads(call, inputs, columns, read.why)
    elif weight.shape[1] == 1 and first is not None and (not transposed or len(first) == groups):
        rows = _depthwise(call, read, inputs, first, groups)
    elif transposed:
        rows = _grouped_transposed(call, read, inputs, first, second, groups)
    else:
        rows = _grouped(call, read, inputs, first, second, groups)
    made = makes(call, rows, call["bias"])
    return output(call, read, list(range(channel, len(read.shape))), made, channel)


def _depthwise(call: Call, read: Labelled, inputs: Tensor | None, rows: Tensor, groups: int) -> Tensor:
    """Each input makes one or several outputs, which go with it."""
    if inputs is None:
        call.labels.pin(rows, read.why)
    else:
        call.labels.unite(rows.view(groups, -1), inputs[:, None])
    return rows


def _grouped(
    call: Call, read: Labelled, inputs: Tensor | None, rows: Tensor | None, columns: Tensor | None, groups: int
) -> Tensor | None:
    """The number of groups stays, so every group loses channels at the same places, of inputs and of outputs."""
    if inputs is not None:
        inputs = inputs.view(groups, -1)
        call.labels.unite(inputs, inputs[:1])
    reads(call, None if inputs is None else inputs[0], columns, read.why)
    if rows is not None:
        call.labels.unite(rows.view(groups, -1), rows.view(groups, -1)[:1])
    return rows


def _grouped_transposed(
    call: Call, read: Labelled, inputs: Tensor | None, rows: Tensor | None, columns: Tensor | None, groups: int
) -> Tensor | None:
    """The same, where the weight has a row for every input and a column for the outputs of each group."""
    reads(call, inputs, rows, read.why)
    if rows is not None:
        call.labels.unite(rows.view(groups, -1), rows.view(groups, -1)[:1])
    return None if columns is None else columns.repeat(groups)
