"""Weights that are stored as what they are computed from: masks of ``torch.nn.utils.prune``, weight norm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from prunetui.formats.finite_values import PLAIN

OLD, NEW = "_orig", "parametrizations."
DIRECTION = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
UNREAD = ("_orig", "_u", "_v", "_g", ".original", ".original0", ".original1")
Tensors = dict[str, Tensor]


def computed(tensors: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """The tensors with every masked or normalised weight as its module computes it, and the masks by its name.

    Read exactly: ``weight_orig`` x ``weight_mask`` (torch.nn.utils.prune), ``parametrizations.weight.original`` x
    ``parametrizations.weight.0.mask`` (torch.ao.pruning), and weight norm in both spellings. What else a
    parametrisation may be stays as it is, and is then missing under the name of the weight.
    """
    found = dict(tensors)
    masks: Tensors = {}
    pieces = Counter(_parametrised(name) for name in tensors)
    for name in tensors:
        place = _masked_at(name, tensors, pieces)
        if place is None:
            continue
        weight, mask = place
        keep = found[mask] != 0
        if keep.shape == found[name].shape and found[name].is_floating_point():
            masks[weight] = keep
            found[weight] = torch.where(keep, found.pop(name), 0)  # a product would keep NaN where the mask is 0
            del found[mask]
    for magnitude, direction in DIRECTION:
        for name in [n for n in found if n.endswith(f".{magnitude}")]:
            base = name.removesuffix(magnitude)
            other = f"{base}{direction}"
            if other in found and f"{base}weight" not in found:
                weight_norm = _normalised(found[name], found[other])
                if weight_norm is not None:
                    found[f"{base}weight"] = weight_norm
                    del found[name], found[other]
    return found, masks


def _parametrised(name: str) -> str:
    """``layer.parametrizations.weight.`` of a name below it; empty for others."""
    place, found, rest = name.rpartition(NEW)
    return f"{place}{NEW}{rest.partition('.')[0]}." if found else ""


def _masked_at(name: str, tensors: Mapping[str, Tensor], pieces: Mapping[str, int]) -> tuple[str, str] | None:
    """The weight that ``name`` is the original of, and its mask."""
    if name.endswith(OLD):
        weight = name.removesuffix(OLD)
        return (weight, f"{weight}_mask") if f"{weight}_mask" in tensors and weight not in tensors else None
    if name.endswith(".original") and f".{NEW}" in f".{name}":
        base = name.removesuffix("original")
        weight = base.removesuffix(".")
        place, _, parameter = weight.rpartition(NEW)
        alone = pieces[base] == 2  # nothing else is done to it
        return (f"{place}{parameter}", f"{base}0.mask") if f"{base}0.mask" in tensors and alone else None
    return None


def _normalised(magnitude: Tensor, direction: Tensor) -> Tensor | None:
    """g v / |v|, the norm over all dimensions but the one that g has."""
    if magnitude.dim() != direction.dim() or direction.dtype not in PLAIN or magnitude.dtype not in PLAIN:
        return None
    over = [d for d in range(direction.dim()) if magnitude.shape[d] == 1]
    if any(magnitude.shape[d] not in (1, direction.shape[d]) for d in range(direction.dim())):
        return None
    norm = torch.linalg.vector_norm(direction, dim=over, keepdim=True) if over else direction.abs()
    return direction * (magnitude / norm)


def unread(names: list[str]) -> list[str]:
    """Those that a parametrisation computes a weight from which is not computed here (spectral norm and the like)."""
    return [name for name in names if name.endswith(UNREAD)]
