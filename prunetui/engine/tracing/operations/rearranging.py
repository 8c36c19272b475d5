"""Operations that move elements: they are carried out on the labels themselves."""

from __future__ import annotations

from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation

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
