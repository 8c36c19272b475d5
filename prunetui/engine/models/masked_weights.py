"""Weights stored as what they are computed from: masks of ``torch.nn.utils.prune``, weight norm, spectral norm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from prunetui.formats.finite_values import PLAIN

OLD, NEW = "_orig", "parametrizations."
UNREAD = ("_orig", "_u", "_v", "_g", ".original", ".original0", ".original1")
Tensors = dict[str, Tensor]


def computed(tensors: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """The tensors with every masked or normalised weight as its module computes it, and the masks by its name.

    Read exactly: ``weight_orig`` x ``weight_mask`` (torch.nn.utils.prune), ``parametrizations.weight.original`` x
    ``parametrizations.weight.0.mask`` (torch.ao.pruning), weight norm and spectral norm in both spellings. What else a
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
    for names, made in RECIPES:
        for name in [n for n in found if n.endswith(f".{names[0]}")]:
            base = name.removesuffix(names[0])
            own = [f"{base}{n}" for n in names]
            alone = pieces[_parametrised(name)] == len(names) if _parametrised(name) else True
            known = alone and all(n in found for n in own) and f"{base}weight" not in found
            if known and (value := made(*(found[n] for n in own))) is not None:
                found[f"{base}weight"] = value
                for piece in own:
                    del found[piece]
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


def _over_norm(weight: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
    """The weight over its spectral norm u' W v, as evaluation has it.

    W is the weight as a matrix with a row for each output: its first dimension, of transposed convolutions its second.
    Where both are of one size it is the one for which u is nearer to W v, as the iteration leaves it.
    """
    if any(t.dtype not in PLAIN for t in (weight, left, right)) or (left.dim(), right.dim()) != (1, 1):
        return None
    found = []
    for dimension in range(min(2, weight.dim())):
        matrix = weight.transpose(0, dimension).flatten(1)
        if matrix.shape == (len(left), len(right)):
            made = matrix @ right
            found.append((float(torch.dot(left, made) / made.norm().clamp_min(1e-12)), torch.dot(left, made)))
    return weight / max(found, key=lambda pair: pair[0])[1] if found else None


RECIPES: tuple[tuple[tuple[str, ...], Callable[..., Tensor | None]], ...] = (
    (("weight_g", "weight_v"), _normalised),
    (("parametrizations.weight.original0", "parametrizations.weight.original1"), _normalised),
    (("weight_orig", "weight_u", "weight_v"), _over_norm),
    (
        ("parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"),
        _over_norm,
    ),
)
"""Names of the tensors that a weight is computed from, and how."""


def unread(names: list[str]) -> list[str]:
    """Those that a parametrisation computes a weight from which is not computed here (spectral norm and the like)."""
    return [name for name in names if name.endswith(UNREAD)]
