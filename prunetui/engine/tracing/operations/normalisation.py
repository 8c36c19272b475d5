"""Normalisations: those with statistics of each channel pass channels on, those over channels keep them."""

from __future__ import annotations

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.elementwise import met

AFFINE = ("weight", "bias", "running_mean", "running_var")


@operation("batch_norm", "instance_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
           "native_batch_norm", "_batch_norm_with_update")  # fmt: skip
def of_each_channel(call: Call) -> Labelled:
    """Statistics over batch and places, or fixed ones; parameters of each channel along dimension 1."""
    value = call.tensor("input")
    shape = (1, value.shape[1], *[1] * (len(value.shape) - 2))
    operands = [value]
    for name in AFFINE:
        parameter = call[name]
        if isinstance(parameter, Labelled):
            for labelling in parameter.labellings:
                call.mark(labelling, "scales")
            operands.append(labelled.moved(call.labels, parameter, lambda x: x.view(shape), shape))
    return Labelled(value.shape, met(call.labels, operands, value.shape), value.why)


@operation("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def over_last(call: Call) -> Labelled:
    """Statistics over the last dimensions: a channel that is removed is not one that is zero."""
    value = call.tensor("input")
    count = len(call["normalized_shape"])
    over = range(len(value.shape) - count, len(value.shape))
    statistics_over(call, value, over)
    return _with_parameters(call, value, (1,) * (len(value.shape) - count) + value.shape[-count:])


@operation("group_norm", "native_group_norm")
def over_groups(call: Call) -> Labelled:
    """Statistics over the channels of each group, which go together; one channel a group is an instance norm."""
    value = call.tensor("input")
    groups = call["num_groups"] if call["num_groups"] is not None else call["group"]
    if groups == 1:
        statistics_over(call, value, [1])
    for labelling in value.labellings if 1 < groups < value.shape[1] else ():
        small = labelled.compact(labelling)
        if small.shape[1] > 1:
            divided = small.reshape(small.shape[0], groups, -1, *small.shape[2:])
            labelled.unite_along(call.labels, divided, [2])
    return _with_parameters(call, value, (1, value.shape[1], *[1] * (len(value.shape) - 2)))


def statistics_over(call: Call, value: Labelled, over: range | list[int]) -> None:
    """Channels along these dimensions stay; what is divided along others too stays whole along these."""
    for labelling in value.labellings:
        along = labelled.varies(call.labels, labelling)
        if along and along <= set(over):
            why = f"statistics over channels ({call.operation}): without some of them all others would change"
            call.labels.pin(labelled.compact(labelling), why)
        else:
            labelled.unite_along(call.labels, labelling, along & set(over))


def _with_parameters(call: Call, value: Labelled, shape: tuple[int, ...]) -> Labelled:
    operands = [value]
    for name in ("weight", "bias"):
        parameter = call[name]
        if isinstance(parameter, Labelled):
            for labelling in parameter.labellings:
                call.mark(labelling, "scales")
            operands.append(labelled.moved(call.labels, parameter, lambda x: x.reshape(shape), shape))
    return Labelled(value.shape, met(call.labels, operands, value.shape), value.why)
