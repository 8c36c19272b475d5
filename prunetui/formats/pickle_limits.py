"""Limits on what torch.save wrote, checked before ``torch.load`` sees it.

``weights_only`` keeps code out, but takes any size: a compressed archive of 1 MB unpacks to gigabytes, and a refused
name of 100,000 letters keeps the search for words in its own message busy for minutes.
"""

from __future__ import annotations

import pickletools
import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from prunetui.formats.refused import Refused
from prunetui.formats.zip_archive import Archive

MOST_PICKLE_BYTES = 64 << 20
"""Of the pickle alone, without the numbers; that of a network with 10,000 tensors has two."""
MOST_NAME = 300
_OLD_PICKLES = 5
"""Magic number, version, system, the object, keys of storages: the numbers follow."""


def check_limits(path: Path) -> None:
    """Look at a file of torch.save without loading it.

    Raises:
        Refused: its archive is compressed, or its pickle is too large or has names that are.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            for _ in range(_OLD_PICKLES):
                _check_names(file)
            return
        try:
            archive = Archive(file)
            size = archive.size("data.pkl")
            if size > MOST_PICKLE_BYTES:
                raise Refused(f"its pickle has {size:,} bytes; at most {MOST_PICKLE_BYTES:,} are read")
            pickle = archive.read("data.pkl") if "data.pkl" in archive else b""
        except Refused:
            raise
        except Exception:  # noqa: BLE001 - zipfile raises whatever the bytes of a damaged archive lead to
            raise Refused("its archive is damaged") from None
        _check_names(BytesIO(pickle))


def _check_names(file: BinaryIO) -> None:
    """Of one pickle; what is damaged is left to the loader, which has words for it."""
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in ("GLOBAL", "INST") and len(str(argument)) > MOST_NAME:
                raise Refused(f"its pickle names an object by {len(str(argument)):,} letters")
    except Refused:
        raise
    except (ValueError, MemoryError, OverflowError):
        return
