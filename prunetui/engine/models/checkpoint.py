"""Weights from files of others: plain state dicts, wrapped ones, safetensors. Nothing is ever unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prunetui.errors import UsageError
from prunetui.formats.header import parse_metadata
from prunetui.formats.pickle_limits import check_limits
from prunetui.formats.refused import reason
from prunetui.formats.safetensors_header import read_metadata

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "ema")
PREFIXES = ("module.", "_orig_mod.", "model.")
# The same layer in torchvision's and in the CIFAR literature's naming.
RENAMES = (("downsample.", "shortcut."), ("fc.", "linear."))
NAMED = 8


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name and, of files that prunetui wrote, the header that says how to build the net."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a .safetensors file or a pickled state dict (``weights_only``: no code in it is run).

    Raises:
        UsageError: it is not there, cannot be read safely or holds no state dict.
    """
    if not path.is_file():
        raise UsageError(f"no checkpoint at {path}")
    try:
        if path.suffix == ".safetensors":
            header = parse_metadata(read_metadata(path))
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return Checkpoint(tensors, header)
        check_limits(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
        raise UsageError(f"cannot read the checkpoint {path} safely: {_reason(error)}") from None
    return Checkpoint(_state_dict(loaded, path), {})


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return (
            "it is not a plain state dict, and nothing else is loaded, because a pickle can run code; "
            "save model.state_dict() instead, or use safetensors"
        )
    return reason(error)


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not any(isinstance(v, Tensor) for v in loaded.values()):
        raise UsageError(f"{path} holds no state dict, but {type(loaded).__name__}")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


def fitted(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors under the names that ``model`` uses, in float32.

    Raises:
        UsageError: some are missing, unexpected or of another shape; lists them.
    """
    wanted = model.state_dict()
    named = {_renamed(name, wanted): tensor for name, tensor in tensors.items()}
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):  # absent from old files and of no effect
            named.setdefault(name, tensor)
    missing = [name for name in wanted if name not in named]
    unexpected = [name for name in named if name not in wanted]
    shapes = [
        f"{name} is {tuple(named[name].shape)}, the model has {tuple(wanted[name].shape)}"
        for name in wanted
        if name in named and named[name].shape != wanted[name].shape
    ]
    if missing or unexpected or shapes:
        report = [f"the checkpoint {path} does not fit the model:"]
        for title, names in (("missing", missing), ("unexpected", unexpected), ("other shape", shapes)):
            if names:
                more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
                report.append(f"  {title} ({len(names)}): {', '.join(names[:NAMED])}{more}")
        raise UsageError("\n".join(report))
    return {name: named[name].to(wanted[name].dtype) for name in wanted}


def _renamed(name: str, wanted: Mapping[str, Tensor]) -> str:
    for prefix in PREFIXES:
        if name not in wanted:
            name = name.removeprefix(prefix)
    for old, new in RENAMES:
        if name not in wanted and old in name and name.replace(old, new) in wanted:
            name = name.replace(old, new)
    return name
