"""Tensors that torch.save wrote: their pickle is looked through before it is read, and read by ``weights_only``."""

from __future__ import annotations

import io
import pickletools
from typing import Any

import torch

from prunetui.formats.refused import Refused, shown
from prunetui.formats.zip_archive import Archive

_GLOBALS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3", "torch._utils _rebuild_parameter"}
_GLOBALS |= {"collections OrderedDict", "torch.storage UntypedStorage", "torch Size", "torch device"}
_NUMBERS = ("Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "Bool", "BFloat16")
_GLOBALS |= {f"torch {name}Storage" for name in _NUMBERS}
_GLOBALS |= {f"torch {name}" for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")}
# Opcodes that name or make objects in other ways than those of torch.save.
_OPCODES = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}


def check_pickled_tensors(data: bytes, what: str) -> None:
    """Look through a file of torch.save without reading it.

    Raises:
        Refused: it names anything but tensors and containers; ``what`` is what the message calls it.
    """
    try:
        archive = Archive(data)
    except Refused:
        raise
    except Exception:  # noqa: BLE001 - a damaged archive raises whatever its bytes lead to
        raise Refused(f"{what} are a pickle that is no archive of torch.save") from None
    pickles = [name for name in archive.names if name.endswith(".pkl")]
    if pickles != ["data.pkl"]:
        raise Refused(f"{what} hold {len(pickles)} pickles where torch.save writes data.pkl alone")
    try:
        found = [(code.name, argument) for code, argument, _ in pickletools.genops(archive.read("data.pkl"))]
    except ValueError:
        raise Refused(f"{what} are a damaged pickle") from None
    for opcode, argument in found:
        if opcode == "GLOBAL" and argument not in _GLOBALS:
            raise Refused(f"{what} are a pickle that calls {shown(str(argument).replace(' ', '.'))}")
        if opcode in _OPCODES:
            raise Refused(f"{what} are a pickle with the opcode {opcode}, which tensors do not need")


def read_pickled_tensors(data: bytes, what: str) -> Any:
    """What torch.save wrote of tensors.

    Raises:
        Refused: it holds anything else.
    """
    check_pickled_tensors(data, what)
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
