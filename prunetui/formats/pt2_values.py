"""Values in the JSON of a .pt2 file: objects with one key that names their kind, turned into what operators take."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from prunetui.formats.refused import Refused, shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
MOST_LENGTH = 10_000
"""Of a list among the arguments of an operator."""
# torch's numbers of kinds in files (torch/_export/serde/schema.py); they are part of the format.
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16, 7: torch.float32,
    8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_STRIDED = 7


@dataclass(frozen=True)
class Reference:
    """The value in a slot, which is known only as the program runs."""

    slot: int


@dataclass(frozen=True)
class SameDevice:
    """The device that the images are on."""


def mapping(value: Any, what: str) -> dict[str, Any]:
    """``value``, which must be an object."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {type(value).__name__}, not an object")
    return value


def items(value: Any) -> list[Any]:
    """``value``, which must be a list."""
    if not isinstance(value, list):
        raise ValueError(f"its program has {type(value).__name__} where a list is expected")
    return value


def text(value: Any) -> str:
    """``value``, which must be a text."""
    if not isinstance(value, str):
        raise ValueError(f"its program has {type(value).__name__} where a text is expected")
    return value


def union(value: Any) -> tuple[str, Any]:
    """Kind and content of an object with one key."""
    entries = mapping(value, "a value of the program")
    if len(entries) != 1:
        raise ValueError(f"its program has an object of {len(entries)} keys where one names the kind")
    return next(iter(entries.items()))


def named(value: Any) -> str:
    """The name of a value.

    Raises:
        Refused: it is more than a name.
    """
    name = text(mapping(value, "a named value")["name"])
    if not _NAME.fullmatch(name):
        raise Refused(f"it calls a value {shown(name)}, which is no name")
    return name


def argument(value: Any, find: Callable[[str], Reference]) -> Any:
    """What an operator takes.

    Raises:
        Refused: it is of a kind that only other programs have: a graph, an object, an operator.
    """
    kind, content = union(value)
    single = kind.removesuffix("s")
    if kind.endswith("s") and single in _SINGLE:
        entries = items(content)
        if len(entries) > MOST_LENGTH:
            raise Refused(f"an operator takes a list of {len(entries):,}")
        return [_SINGLE[single](item, find) for item in entries]
    if kind not in _SINGLE:
        raise Refused(f"an operator takes {shown(kind)}; tensors, numbers and sizes are given")
    return _SINGLE[kind](content, find)


def _none(content: Any, find: Any) -> None:
    del content, find


def _tensor(content: Any, find: Callable[[str], Reference]) -> Reference:
    return find(named(content))


def _integer(content: Any, find: Any) -> int:
    del find
    if type(content) is not int or not -(1 << 63) <= content < 1 << 63:
        raise ValueError(f"its program has {shown(content)} where an integer of 64 bits is expected")
    return content


def _float(content: Any, find: Any) -> float:
    del find
    if content in ("Infinity", "-Infinity", "NaN") or type(content) in (int, float):
        return math.nan if content == "NaN" else float(content)
    raise ValueError(f"its program has {shown(content)} where a number is expected")


def _bool(content: Any, find: Any) -> bool:
    del find
    if type(content) is not bool:
        raise ValueError(f"its program has {shown(content)} where true or false is expected")
    return content


def _string(content: Any, find: Any) -> str:
    del find
    if len(text(content)) > 40:
        raise Refused(f"an operator takes the text {shown(content)}")
    return str(content)


def _size(content: Any, find: Callable[[str], Reference]) -> Any:
    kind, inner = union(content)
    if kind == "as_name":
        return find(named({"name": inner}))
    return argument(content, find)


def _optional(content: Any, find: Callable[[str], Reference]) -> Reference | None:
    kind, inner = union(content)
    return None if kind == "as_none" else _tensor(inner, find)


def _from(table: dict[int, Any], what: str) -> Callable[[Any, Any], Any]:
    def look_up(content: Any, find: Any) -> Any:
        del find
        if type(content) is not int or content not in table:
            raise Refused(f"an operator takes the {what} {shown(content)}, which is not among those of networks")
        return table[content]

    return look_up


def _device(content: Any, find: Any) -> SameDevice:
    del content, find
    return SameDevice()


_SINGLE: dict[str, Callable[[Any, Any], Any]] = {
    "as_none": _none,
    "as_tensor": _tensor,
    "as_optional_tensor": _optional,
    "as_int": _integer,
    "as_float": _float,
    "as_bool": _bool,
    "as_string": _string,
    "as_sym_int": _size,
    "as_sym_float": _size,
    "as_sym_bool": _size,
    "as_scalar_type": _from(DTYPES, "type of numbers"),
    "as_memory_format": _from(_MEMORY_FORMATS, "memory format"),
    "as_layout": _from({_STRIDED: torch.strided}, "layout"),
    "as_device": _device,
}
