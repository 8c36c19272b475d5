"""The header of a .safetensors file, with limits that the library does not set: it takes 100 MB of any JSON."""

from __future__ import annotations

from pathlib import Path

from prunetui.files.safe_json import read_json
from prunetui.formats.refused import shown

MOST_BYTES = 16 << 20
"""The header of a network with 10,000 tensors has about one."""

MOST_NAME = 1000


def read_metadata(path: Path) -> dict[str, str]:
    """Texts that whoever wrote the file put into its header.

    Raises:
        ValueError: the header is too large or of another shape.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        rest = path.stat().st_size - 8
        if length > min(MOST_BYTES, rest):
            most = "the file has" if rest < MOST_BYTES else "at most are read"
            raise ValueError(f"its header has {length:,} bytes; {most} {max(min(MOST_BYTES, rest), 0):,}")
        header = read_json(file.read(length), most_bytes=MOST_BYTES, depth=4)
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    for name in header:
        if len(name) > MOST_NAME or not name.isprintable():
            raise ValueError(f"it has a tensor of the name {shown(name)}")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its metadata are {shown(metadata)}, not texts by name")
    return metadata
