"""What removing channels must leave as it is: what comes out of a network, or of the parts of it that were traced.

Where only parts are traced, the rest may decide by values, as a detector chooses the best boxes: a difference in the
last bit could choose others there. What it is given by the parts tells whether they compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from prunetui.api.source import called
from prunetui.engine.tracing.output_tensors import output_tensors


def compared_outputs(model: nn.Module, inputs: Any, parts: Sequence[str]) -> list[Tensor]:
    """All tensors that come out of a network for ``inputs``; of its ``parts`` instead, where there are any."""
    if not parts:
        return output_tensors(called(model, inputs))
    found: list[Tensor] = []
    handles = [
        model.get_submodule(part).register_forward_hook(
            lambda module, args, output: found.extend(tensor.clone() for tensor in output_tensors(output))
        )
        for part in parts
    ]
    try:
        called(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found
