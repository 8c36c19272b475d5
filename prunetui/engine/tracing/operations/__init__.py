"""The table of operations: what each does to channels. A rule is a small function in the file of its kind."""

from prunetui.engine.tracing.operations import (  # noqa: F401  each enters its rules into the table
    attention,
    convolution_rules,
    einsum,
    elementwise,
    embedding,
    joining,
    normalisation,
    parting,
    product_rules,
    rearranging,
    recurrent,
    reduction,
)
from prunetui.engine.tracing.operations.call import RULES, Call

__all__ = ["RULES", "Call"]
