"""A pruned network as a safetensors file: its state dict, and in the header what was removed, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prunetui.files.safe_json import read_json

FORMAT = "prunetui-removal/1"
HEADER = "removal"
MOST_BYTES = 64 << 20
MOST_DIMENSIONS = 8


def header_of(plain: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file. Equal lists of indices, as of the layers of a group, are written once."""
    lists: dict[tuple[int, ...], int] = {}
    kept = {
        name: {str(dimension): lists.setdefault(indices, len(lists)) for dimension, indices in of.items()}
        for name, of in plain["kept"].items()
    }
    text = json.dumps({**plain, "kept": kept, "lists": [list(indices) for indices in lists]}, separators=(",", ":"))
    return {"format": FORMAT, HEADER: text}


def read_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What ``header_of`` wrote: the fields of a removal, and the names of ``tied`` tensors.

    Raises:
        ValueError: it is of another format, or holds what cannot be.
    """
    if metadata.get("format") != FORMAT:
        raise ValueError(f"it is of the format {metadata.get('format', '')[:40]!r}, not {FORMAT}")
    plain = read_json(metadata.get(HEADER, ""), most_bytes=MOST_BYTES, depth=8, finite=True)
    try:
        lists = [tuple(_whole(index) for index in indices) for indices in plain["lists"]]
        kept = {
            _word(name): {_dimension(dimension): lists[_whole(number)] for dimension, number in of.items()}
            for name, of in plain["kept"].items()
        }
        return {
            "network": _word(plain["network"]),
            "shapes": {_word(name): tuple(map(_whole, shape)) for name, shape in plain["shapes"].items()},
            "kept": kept,
            "attributes": {_word(place): _numbers(value) for place, value in plain["attributes"].items()},
            "folded": tuple(map(_word, plain["folded"])),
            "shared": {_word(name): _whole(outputs) for name, outputs in plain["shared"].items()},
            "own_heads": tuple(map(_word, plain.get("own_heads", ()))),  # files of earlier versions have none
            "tied": {_word(name): _word(first) for name, first in plain["tied"].items()},
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"what it says of the removal cannot be read: {type(error).__name__}: {error}") from None


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError(f"it holds {str(value)[:40]!r}, which is no count")
    return value


def _numbers(value: object) -> int | list[int]:
    return [_whole(one) for one in value] if isinstance(value, list) else _whole(value)


def _dimension(text: str) -> int:
    if not (text.isdecimal() and len(text) == 1 and int(text) < MOST_DIMENSIONS):
        raise ValueError(f"no tensor has a dimension {text[:40]!r}")
    return int(text)


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it holds {str(value)[:40]!r}, which is no name")
    return value
