"""Weights from files of others: state dicts however they were wrapped, and safetensors. No code in a file is run.

``read_checkpoint`` gives all tensors of a file, ``fit`` those of a model: under its names, in its types, with the masks
that stand beside them, and a line for everything that was chosen or left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prunetui.engine.export_header import parse_metadata
from prunetui.engine.models.beside import foreign, told
from prunetui.engine.models.file_kind import kind_of, refused
from prunetui.engine.models.flat import flattened
from prunetui.engine.models.masked_weights import computed, unread
from prunetui.engine.models.parts import COUNTER, StateDictPart, by_preference, nearest, parts_of, under
from prunetui.engine.models.unpickle import unpickled
from prunetui.engine.tied_tensors import Ties, ties_in, under_all_names
from prunetui.errors import UsageError
from prunetui.formats.finite_values import in_types_of
from prunetui.formats.refused import reason
from prunetui.formats.safetensors_header import read_metadata

NAMED = 8


@dataclass(frozen=True)
class LoadedCheckpoint:
    """Tensors by their dotted place in the file and, of files that prunetui wrote, the header that says how to build
    the net."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """A model's tensors found in a file, and what people should know of how they were found."""

    tensors: dict[str, Tensor]
    masks: dict[str, Tensor] = field(default_factory=dict)
    """Masks that stand in the file, bool, by the name of the weight."""
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> LoadedCheckpoint:
    """Read a safetensors file or what ``torch.save`` wrote, told apart by content (no code in it is run).

    Raises:
        UsageError: it is not there, cannot be read safely or holds no tensors.
    """
    if kind_of(path) == "safetensors":
        try:
            header = parse_metadata(read_metadata(path))
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return LoadedCheckpoint(tensors, header)
        except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
            raise refused(path, reason(error)) from None
    loaded = unpickled(path)
    tensors = {} if isinstance(loaded, Tensor) else flattened(loaded, path)
    if not tensors:
        raise UsageError(f"{path} holds no state dict, but {_described(loaded)}")
    return LoadedCheckpoint(tensors, {})


def _described(loaded: object) -> str:
    keys = [str(key)[:40] for key in loaded][:NAMED] if isinstance(loaded, Mapping) else []
    return f"a {type(loaded).__name__}" + (f" without tensors ({', '.join(keys)})" if keys else "")


def fitted(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of ``model`` in ``tensors``, as ``fit`` finds them."""
    return fit(tensors, model, path).tensors


def fit(tensors: Mapping[str, Tensor], model: nn.Module, path: Path, key: str | None = None) -> Fit:
    """The tensors of a file under the names that ``model`` uses, in its types; ``key`` is where to look in the file.

    Raises:
        UsageError: some are missing, unexpected, of another shape or no finite numbers; lists them.
    """
    wanted, ties = model.state_dict(), ties_in(model)
    tensors, masks = computed(tensors)
    parts = parts_of(tensors, wanted)
    for one in parts:
        one.names = {**under_all_names(one.names, ties), **one.names}  # a file has each tensor once, or under all names
    if key is not None:
        parts = _at(parts, key, wanted, path)
    whole = by_preference([part for part in parts if part.is_whole(wanted, tensors)])
    part = whole[0] if whole else nearest(parts, wanted, tensors)
    extra = _others_below(part, whole, tensors)
    unexpected = foreign(extra, part.prefix, tensors, wanted)
    if not whole or unexpected:
        raise UsageError(_mismatch(part, extra if not whole else unexpected, wanted, tensors, path))
    given = {ours: tensors[theirs] for ours, theirs in part.names.items()}
    given |= {n: t for n, t in wanted.items() if n.endswith(COUNTER) and (n not in given or given[n].shape != t.shape)}
    notes = _choice(whole, path) + _left_out(part, whole, tensors, path)
    _check_ties(ties, given, path)
    found = {ours: masks[theirs] for ours, theirs in part.names.items() if theirs in masks}
    return Fit(under_all_names(in_types_of(wanted, given, path), ties), found, tuple(notes))


def _check_ties(ties: Ties, given: Mapping[str, Tensor], path: Path) -> None:
    for names in set(ties.values()):
        first, *others = names
        if parted := [name for name in others if not torch.equal(given[name], given[first])]:
            other = f"other values of {parted[0]} than of {first}"
            raise UsageError(f"the checkpoint {path} has {other}, which are one tensor of the model")


def _at(parts: list[StateDictPart], key: str, wanted: Mapping[str, Tensor], path: Path) -> list[StateDictPart]:
    found = under(parts, key)
    if found:
        return found
    large = [part.key or "(the top)" for part in parts if 2 * len(part.names) >= len(wanted)]
    known = f"there are: {', '.join(dict.fromkeys(large))}" if large else "nothing in it fits this model"
    raise UsageError(f'model.key: {path} has no weights of this model at "{key}"; {known}')


def _others_below(part: StateDictPart, whole: Sequence[StateDictPart], tensors: Mapping[str, Tensor]) -> list[str]:
    """What stands below the prefix of a part and is neither its own nor another whole part's."""
    taken = {theirs for one in (part, *whole) for theirs in one.names.values()}
    return [name for name in tensors if name.startswith(part.prefix) and name not in taken]


def _choice(whole: Sequence[StateDictPart], path: Path) -> list[str]:
    if len(whole) < 2:
        return []
    names = [f'"{part.key}"' if part.key else "what stands at the top" for part in whole]
    others, last = ", ".join(names[1:]), whole[-1].key
    return [f"{path.name} holds weights of this model several times: took {names[0]}, not {others} "
            f'(--set model.key="{last}" chooses)']  # fmt: skip


def _left_out(
    part: StateDictPart, whole: Sequence[StateDictPart], tensors: Mapping[str, Tensor], path: Path
) -> list[str]:
    used = {theirs for one in whole for theirs in one.names.values()}
    names = [name for name in tensors if name not in used and not name.endswith(COUNTER)]
    return [f"{path.name}: ignored beside the weights: {told(names)}"] if names else []


def _mismatch(
    part: StateDictPart,
    unexpected: Sequence[str],
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    path: Path,
) -> str:
    missing = [name for name in wanted if name not in part.names and not name.endswith(COUNTER)]
    shapes = [
        f"{ours} is {tuple(tensors[theirs].shape)}, the model has {tuple(wanted[ours].shape)}"
        for ours, theirs in part.names.items()
        if tensors[theirs].shape != wanted[ours].shape and not ours.endswith(COUNTER)
    ]
    names = [name.removeprefix(part.prefix) for name in unexpected]
    where = f' at "{part.key}"' if part.key else ""
    report = [f"the checkpoint {path}{where} does not fit the model:"]
    for title, listed in (("missing", missing), ("unexpected", names), ("other shape", shapes)):
        if listed:
            more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
            report.append(f"  {title} ({len(listed)}): {', '.join(listed[:NAMED])}{more}")
    if unread(names):
        report.append("  its weights are computed by a parametrisation that is not read: remove that before saving")
    return "\n".join(report)
