"""The operators that a program from elsewhere may call: those of torch that compute a tensor from tensors.

A list of what is allowed, for torch has thousands and some write files (``aten.from_file``) or skip checks of indices.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import torch

from prunetui.formats.refused import Refused, shown

_ELEMENTWISE = """
abs add addcdiv addcmul ceil celu clamp clamp_max clamp_min cos div dropout elu eq erf exp expm1 feature_dropout floor
floor_divide fmod ge gelu gt hardsigmoid hardswish hardtanh le leaky_relu log log1p log_softmax _log_softmax logical_and
logical_not logical_or lt masked_fill maximum minimum mish mul ne neg pow prelu reciprocal relu relu6 remainder round
rsqrt rsub selu sigmoid sign silu sin softmax _softmax softplus sqrt square sub tanh threshold where
"""
_LAYERS = """
addmm baddbmm batch_norm _batch_norm_no_update bmm conv1d conv2d conv_transpose2d convolution group_norm instance_norm
layer_norm linear matmul mm native_group_norm native_layer_norm _native_batch_norm_legit_no_training
scaled_dot_product_attention
"""
_POOLS = """
adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d amax amin argmax argmin avg_pool1d
avg_pool2d max max_pool2d max_pool2d_with_indices mean min std sum upsample_bilinear2d upsample_nearest2d var
linalg_vector_norm
"""
_SHAPES = """
alias cat chunk clone constant_pad_nd contiguous detach expand expand_as flatten flip index_select lift_fresh_copy
movedim narrow pad permute pixel_shuffle pixel_unshuffle reflection_pad2d repeat replication_pad2d reshape roll select
slice split split_with_sizes squeeze stack swapaxes t _to_copy to transpose type_as unbind unflatten unsafe_chunk
unsafe_split unsqueeze _unsafe_view view
"""
_MADE = "arange full full_like new_full new_ones new_zeros ones ones_like scalar_tensor zeros zeros_like"
TENSOR_OPERATORS = frozenset(f"{_ELEMENTWISE} {_LAYERS} {_POOLS} {_SHAPES} {_MADE}".split())
_IN_PLACE = frozenset(f"{name}_" for name in f"{_ELEMENTWISE} detach squeeze unsqueeze".split())

_NUMBERS: dict[str, Callable[..., Any]] = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
}
"""What is done with the sizes of a tensor."""
ASSERTIONS = frozenset(
    f"torch.ops.aten.{name}.default"
    for name in (
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    )
)
"""Conditions that were checked as the program was made; they compute nothing."""
_TARGET = re.compile(r"torch\.ops\.aten\.([A-Za-z0-9_]{1,60})\.([A-Za-z0-9_]{1,60})")


def number_operator(target: str) -> Callable[..., Any] | None:
    """Python's operator for the sizes of tensors, if it is one."""
    return _NUMBERS.get(target)


def find_operator(target: object) -> torch._ops.OpOverload:
    """The operator of this name.

    Raises:
        Refused: it is not one of the list.
    """
    match = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if match is None or not _listed(*match.groups()):
        raise Refused(f"it calls {shown(target)}, which is not among the operators of networks that are run")
    packet = getattr(torch.ops.aten, match[1], None)
    if packet is None or match[2] not in packet.overloads():
        raise ValueError(f"this torch ({torch.__version__}) has no operator {match[0]}")
    found: torch._ops.OpOverload = getattr(packet, match[2])
    if match[0] != "torch.ops.aten.sym_size.int" and not _makes_tensors(found):
        raise Refused(f"it calls {match[0]}, which does not make a tensor")
    return found


def _listed(name: str, overload: str) -> bool:
    return name in TENSOR_OPERATORS or name in _IN_PLACE or (name, overload) == ("sym_size", "int")


def _makes_tensors(found: torch._ops.OpOverload) -> bool:
    schema = found._schema
    if any(argument.is_out for argument in schema.arguments):
        return False
    return bool(schema.returns) and all(str(made.type) in ("Tensor", "List[Tensor]") for made in schema.returns)


def changes_first(found: torch._ops.OpOverload) -> bool:
    """Whether it writes into its first argument."""
    return bool(found._schema.is_mutable)
