"""Operations that sum up or compare along dimensions, and pooling, which does so over places."""

from __future__ import annotations

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.normalisation import statistics_over

REDUCED = """
mean sum amax amin max min prod var std norm linalg_vector_norm argmax argmin any all logsumexp var_mean
std_mean nansum median
"""
POOLED = [f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max", "lp") for n in (1, 2, 3)]
RESIZED = [
    f"upsample_{kind}"
    for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d", "trilinear3d")
]


def over_dimensions(call: Call, value: Labelled) -> list[int]:
    """Which dimensions a call reduces: all of them where it does not say."""
    given = call["dim"]
    rank = len(value.shape)
    if given is None or given == []:
        return list(range(rank))
    return [given % rank] if isinstance(given, int) else [d % rank for d in given]


@operation(*REDUCED.split())
def reduced(call: Call) -> list[Labelled]:
    """Channels along the reduced dimensions stay; the others pass."""
    value = next(call.tensors())
    if isinstance(call["other"], Labelled):
        from prunetui.engine.tracing.operations.elementwise import elementwise

        return [elementwise(call)]
    over = over_dimensions(call, value)
    statistics_over(call, value, over)
    kept = labelled.without(call.labels, value, over)
    thin = tuple(labelled.first_of(x, over) for x in kept)
    return [
        Labelled(shape, tuple(x.reshape(_thin(value, over, shape)) for x in thin), value.why) for shape in call.shapes
    ]


def _thin(value: Labelled, over: list[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == len(value.shape):
        return shape
    return tuple(size for d, size in enumerate(value.shape) if d not in over)


@operation("softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum", "cumprod", "sort", "topk", "logcumsumexp",
           "_safe_softmax", "softmin")  # fmt: skip
def compared(call: Call) -> list[Labelled]:
    """Values that depend on all others along a dimension, of the same shape."""
    value = call.tensor("self")
    over = over_dimensions(call, value)
    statistics_over(call, value, over)
    kept = labelled.without(call.labels, value, over) if call.operation in ("sort", "topk") else value.labellings
    return [
        Labelled(shape, tuple(x if shape == value.shape else labelled.first_of(x, over).expand(shape) for x in kept),
                 value.why)
        for shape in call.shapes
    ]  # fmt: skip


@operation(*POOLED, *RESIZED, *(f"{name}_with_indices" for name in POOLED), *(f"_{name}" for name in POOLED),
           *(f"{name}_aa" for name in ("_upsample_bilinear2d", "_upsample_bicubic2d")), "reflection_pad1d",
           "reflection_pad2d", "replication_pad1d", "replication_pad2d", "reflection_pad3d", "replication_pad3d",
           "grid_sampler", "grid_sampler_2d")  # fmt: skip
def pooled(call: Call) -> list[Labelled]:
    """Each channel over its places, which are the last dimensions."""
    value = next(call.tensors())
    places = next((int(c) for c in reversed(call.operation.replace("2d_aa", "2d")) if c.isdigit()), 2)
    over = list(range(len(value.shape) - places, len(value.shape)))
    statistics_over(call, value, over)
    kept = [labelled.first_of(x, over) for x in labelled.without(call.labels, value, over)]
    return [Labelled(shape, tuple(x.expand(shape) for x in kept), value.why) for shape in call.shapes]
