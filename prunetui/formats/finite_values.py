"""The numbers of a checkpoint in the model's own types: nothing that cannot be computed with is let in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from prunetui.errors import UsageError
from prunetui.formats.refused import shown

NAMED = 3
MOST_NAME = 80
PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def in_types_of(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of ``given``, which have the shapes of ``wanted``, in its types.

    Raises:
        UsageError: one is quantised, complex or without values, or holds NaN or infinity; names them.
    """
    made = {name: _in_type(name, given[name], tensor.dtype, path) for name, tensor in wanted.items()}
    check_finite(made, path)
    return made


def _in_type(name: str, tensor: Tensor, kind: torch.dtype, path: Path) -> Tensor:
    why = _unusable(tensor, kind)
    if why:
        raise UsageError(f"the checkpoint {path} cannot be used: {name} {why}")
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(kind, copy=True).contiguous()


def _unusable(tensor: Tensor, kind: torch.dtype) -> str:
    if tensor.is_meta:
        return "has a shape but no values"
    if tensor.is_quantized or (kind.is_floating_point and not (tensor.is_complex() or tensor.dtype in PLAIN)):
        return f"is {tensor.dtype}: quantised weights are not read; save the floating-point model"
    if tensor.is_complex():
        return f"is {tensor.dtype}, which no layer here computes with"
    if not kind.is_floating_point and tensor.is_floating_point() and not bool((tensor == tensor.round()).all()):
        return f"holds fractions, where the model counts in {kind}"
    return ""


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse what makes every output NaN: it would be measured as the accuracy of guessing.

    Raises:
        UsageError: some hold NaN, infinity or a negative variance; names them.
    """
    if wrong := not_finite(tensors.items()):
        raise UsageError(f"the checkpoint {path} {wrong}")


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """What is wrong with the numbers of named tensors, in words; empty where nothing is."""
    bad = []
    for name, tensor in tensors:
        wrong = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
        if wrong:
            bad.append(f"{_named(name)} ({wrong} of {tensor.numel()})")
        elif name.endswith("running_var") and bool((tensor < 0).any()):
            bad.append(f"{_named(name)} (a negative variance)")
    if not bad:
        return ""
    more = f" and {len(bad) - NAMED} more tensors" if len(bad) > NAMED else ""
    return (
        f"holds NaN, infinity or values that lead to them: {', '.join(bad[:NAMED])}{more}; "
        "take one that was saved before its training diverged"
    )


def _named(name: str) -> str:
    """A name that a file chose, fit for one line of a message."""
    return name if name.isprintable() and len(name) <= MOST_NAME else shown(name, MOST_NAME)
