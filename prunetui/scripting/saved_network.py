"""``prunetui.save`` and ``prunetui.load``: pruned networks as files, which hold tensors and plain data, never code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as file_bytes
from torch import Tensor, nn

from prunetui.engine import loading
from prunetui.engine.models.file_kind import kind_of, refused
from prunetui.engine.models.in_memory import copied, unwrapped
from prunetui.engine.removal_record import RemovalRecord, note_removal, record_of, replay
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.errors import UsageError
from prunetui.files.atomic import write_atomic
from prunetui.files.paths import user_path
from prunetui.formats.refused import reason
from prunetui.formats.removal_file import FORMAT, header_of, read_header
from prunetui.formats.safetensors_header import read_metadata

SUFFIX = ".safetensors"


def save(network: nn.Module, path: str | Path) -> Path:
    """Write a network that ``prunetui.prune`` returned, trained since or not, to a .safetensors file.

    The file holds its state dict, and as plain data what was removed: ``prunetui.load(path, model=...)`` does the same
    to a fresh network. Returns the path.

    Raises:
        UsageError: it was not pruned so, its state is more than tensors, or the file cannot be written.
    """
    given, path = unwrapped(network), user_path(path)
    record = record_of(given)
    if record is None:
        raise UsageError("this network does not know what was removed from it: give one that prunetui.prune returned")
    if path.suffix != SUFFIX:
        raise UsageError(f"{path.name} must end with {SUFFIX}, for that is what it will be")
    tensors, tied = _saved_tensors(given)
    content = file_bytes(tensors, metadata=header_of({**dataclasses.asdict(record), "tied": tied}))
    try:
        write_atomic(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return path


def _saved_tensors(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict, each tensor once, and further names of tensors with the name that each stands under."""
    here, first = named_tensors(network), dict[int, str]()
    tensors, tied = {}, {}
    for name in network.state_dict():
        if name not in here:
            raise UsageError(f"{name} of the state dict is no parameter or buffer, and cannot be saved as a tensor")
        tensor = here[name]
        if id(tensor) in first:
            tied[name] = first[id(tensor)]
            continue
        first[id(tensor)] = name
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return tensors, tied


def load(
    path: str | Path,
    semi_structured: bool = False,
    trust: bool = False,
    model: nn.Module | Callable[[], Any] | None = None,
) -> nn.Module:
    """The network in a file of prunetui's, in evaluation mode.

    Of a run (models/*.safetensors) or ``prunetui export`` (.safetensors, .pt2): on the CPU; it takes float images
    [B, C, H, W] in [0, 1] and gives logits [B, classes], and ``.net`` of it is the bare network.
    Of ``prunetui.save``: ``model`` is the dense network, which stays as it is, or a function that makes one, and the
    same is removed from it.

    ``semi_structured`` puts a 2:4 network on the GPU in torch's semi-structured format. ``trust`` runs code that a
    file names or holds; nothing in a file is executed otherwise.

    Raises:
        UsageError: there is no such file, or ``model`` is another network than the file's.
    """
    path = user_path(path)
    if path.suffix != SUFFIX or not path.is_file() or kind_of(path) != "safetensors":
        is_removal = False
    else:
        is_removal = _metadata(path).get("format") == FORMAT
    if is_removal:
        return _pruned_again(path, model)
    if model is not None:
        raise UsageError(f"{path} builds its network itself: model= goes with files of prunetui.save")
    return loading.load(path, semi_structured, trust)


def _metadata(path: Path) -> dict[str, str]:
    try:
        return dict(read_metadata(path))
    except (OSError, ValueError) as error:
        raise refused(path, reason(error)) from None


def _pruned_again(path: Path, model: nn.Module | Callable[[], Any] | None) -> nn.Module:
    """A fresh network made what the file says."""
    try:
        header = read_header(_metadata(path))
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        tied = header.pop("tied")
        tensors |= {name: tensors[first] for name, first in tied.items()}
        record = RemovalRecord(**header)
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
        raise refused(path, reason(error)) from None
    if model is None:
        raise UsageError(
            f"{path} holds a pruned {record.network}: give model= a dense one, or a function that makes it"
        )
    network = copied(unwrapped(model)) if isinstance(model, nn.Module) else unwrapped(model())
    try:
        replay(record, network, tensors)
    except (ValueError, RuntimeError, AttributeError) as error:
        kind = type(network).__name__
        raise UsageError(f"this {kind} is not the {record.network} that {path} was pruned from: {error}") from None
    note_removal(network, record)
    return network.eval()
