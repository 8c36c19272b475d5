"""What a .pt2 file is made of: program, tensors and header, in the three layouts that torch 2.6 to 2.14 write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prunetui.files.safe_json import read_json
from prunetui.formats.pickled_tensors import check_pickled_tensors, read_pickled_tensors
from prunetui.formats.pt2_values import DTYPES, items, mapping, text, union
from prunetui.formats.refused import Refused, shown
from prunetui.formats.zip_archive import Archive

MOST_PROGRAM_BYTES = 64 << 20
_PLAIN = {"archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id"}
_INPUTS = ("data/sample_inputs/model.pt", "serialized_example_inputs.pt")


@dataclass(frozen=True)
class Contents:
    """``program`` is JSON, not looked at yet; ``extra`` holds files of whoever saved it."""

    program: Any
    tensors: dict[str, Tensor]
    extra: dict[str, bytes]


def read_contents(data: bytes) -> Contents:
    """Read the archive without unpickling anything but tensors.

    Raises:
        Refused: it holds code, compiled or pickled, or what no torch writes.
        ValueError: it is damaged.
    """
    archive = Archive(data)
    for name in archive.names:
        _check_known(name)
    if "byteorder" in archive and archive.read("byteorder") != b"little":
        raise Refused("its numbers are not stored in little-endian order")
    for name in _INPUTS:  # nothing needs them; torch's own loader would unpickle them
        if name in archive and (content := archive.read(name)):
            check_pickled_tensors(content, "its example inputs")
    old = "serialized_exported_program.json" in archive
    program = archive.read("serialized_exported_program.json" if old else "models/model.json")
    extra = ("extra_files/", "extra/")
    return Contents(
        read_json(program, most_bytes=MOST_PROGRAM_BYTES),
        _old_tensors(archive) if old else _tensors(archive, "weights") | _tensors(archive, "constants"),
        {name.partition("/")[2]: archive.read(name) for name in archive.names if name.startswith(extra)},
    )


def _check_known(name: str) -> None:
    """Nothing is left unread because its name is new: compiled code, for one, comes as a further entry."""
    folders = ("data/weights/", "data/constants/", "extra/", "extra_files/")
    alone = ("models/model.json", "serialized_exported_program.json", *_INPUTS)
    old = ("serialized_state_dict.pt", "serialized_constants.pt")
    if name.startswith("data/aotinductor/"):
        raise Refused("it holds compiled code (AOTInductor)")
    if name not in _PLAIN and name not in (*alone, *old) and not name.startswith(folders):
        raise Refused(f"it holds {shown(name)}, which is not part of the files that torch.export.save writes")


def _old_tensors(archive: Archive) -> dict[str, Tensor]:
    """Of torch 2.6 and 2.7: everything in two pickles."""
    return _pickled(archive, "serialized_state_dict.pt") | _pickled(archive, "serialized_constants.pt")


def _pickled(archive: Archive, name: str) -> dict[str, Tensor]:
    content = archive.read(name)
    found = read_pickled_tensors(content, f"the tensors of {shown(name)}") if content else {}
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise Refused(f"{shown(name)} holds more than tensors by name")
    return {str(key): value for key, value in found.items()}


def _tensors(archive: Archive, kind: str) -> dict[str, Tensor]:
    """Of later ones: raw bytes, described by a table; in between, a pickle."""
    folder = f"data/{kind}"
    if f"{folder}/model.pt" in archive:
        return _pickled(archive, f"{folder}/model.pt")
    table = read_json(archive.read(f"{folder}/model_{kind}_config.json"), most_bytes=MOST_PROGRAM_BYTES)
    storages: dict[str, Tensor] = {}
    found = {}
    for name, entry in mapping(mapping(table, "its table of tensors")["config"], "config").items():
        about = mapping(entry, "the description of a tensor")
        path = text(about["path_name"])
        if about["use_pickle"] is not False:
            found[name] = _one_pickled(archive.read(f"{folder}/{path}"), kind)
            continue
        meta = mapping(about["tensor_meta"], "the description of a tensor")
        if path not in storages:
            storages[path] = _storage(archive.read(f"{folder}/{path}"), meta["dtype"])
        tensor = _strided(storages[path], meta, name)
        found[name] = torch.nn.Parameter(tensor, _trained(meta, tensor)) if about["is_param"] is True else tensor
    return found


def _one_pickled(content: bytes, kind: str) -> Tensor:
    found = read_pickled_tensors(content, f"its {kind}")
    if not isinstance(found, Tensor):
        raise Refused(f"its {kind} hold a {type(found).__name__} where a tensor is expected")
    return found


def _storage(content: bytes, dtype: Any) -> Tensor:
    if type(dtype) is not int or dtype not in DTYPES:
        raise Refused(f"it has a tensor of the type {shown(dtype)}, which is not among those of networks")
    kind = DTYPES[dtype]
    if len(content) % kind.itemsize:
        raise ValueError(f"a tensor of {kind} has {len(content)} bytes")
    return torch.frombuffer(bytearray(content), dtype=kind) if content else torch.empty(0, dtype=kind)


def _strided(storage: Tensor, meta: dict[str, Any], name: str) -> Tensor:
    """A view of the storage that stays inside it and shows no value twice."""
    sizes, strides = _integers(meta["sizes"]), _integers(meta["strides"])
    offset = _integers([meta["storage_offset"]])[0]
    if len(sizes) != len(strides) or len(sizes) > 8:
        raise ValueError(f"the tensor {shown(name)} has {len(sizes)} sizes and {len(strides)} strides")
    if DTYPES.get(meta["dtype"]) != storage.dtype:
        raise ValueError(f"the tensor {shown(name)} shares memory with one of another type")
    count = torch.Size(sizes).numel()
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if count and (last >= len(storage) or count > len(storage)):
        raise ValueError(f"the tensor {shown(name)} of {count:,} values lies outside its file of {len(storage):,}")
    return storage.as_strided(sizes, strides, offset if count else 0)


def _integers(values: Any) -> list[int]:
    found = [union(value) for value in items(values)]
    if any(kind != "as_int" or type(value) is not int or not 0 <= value < 1 << 40 for kind, value in found):
        raise ValueError("a tensor has sizes that are no numbers")
    return [value for _, value in found]


def _trained(meta: dict[str, Any], tensor: Tensor) -> bool:
    return meta.get("requires_grad") is True and tensor.is_floating_point()
