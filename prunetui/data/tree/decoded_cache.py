"""Decoded images, or what was found of them, in the user's cache directory, under a hash of their files and of how they
were decoded."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from prunetui.data.tree.decode import Decoded
from prunetui.data.tree.levels import Extent

Arrays = dict[str, Any]
RULES = 2
"""Changes when the same files are decoded into other pixels or facts."""


def place(digest: str, size: int, levels: str) -> Path:
    """Where the images of a listing are kept, decoded to a side; ``levels`` says how deep ones are scaled."""
    return user_cache_path("prunetui") / "images" / f"{digest}-{size}-{levels}v{RULES}.npz"


def load(path: Path, count: int, size: int) -> tuple[Decoded | None, str]:
    """What is kept for ``count`` images, or None; and what was wrong with it."""
    found, _, wrong = load_with(path, {"pixels": ((count, 3, size, size), np.uint8), "facts": ((count,), np.uint16)})
    return found, wrong


def load_with(path: Path, wanted: Mapping[str, tuple[tuple[int, ...], Any]]) -> tuple[Decoded | None, Arrays, str]:
    """As ``load``, with all arrays that are ``wanted``, by their shapes and types."""
    if not path.is_file():
        return None, {}, ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            deep = [(int(i), Extent(str(d), float(low), float(high))) for i, d, low, high in about["deep"]]
            corrupt = [(int(i), str(reason)) for i, reason in about["corrupt"]]
            arrays: Arrays = {name: kept[name] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        return None, {}, f"{type(error).__name__}: {error}"
    if any(
        (arrays[name].shape, arrays[name].dtype) != (shape, np.dtype(kind)) for name, (shape, kind) in wanted.items()
    ):
        return None, {}, "images of another number or size"
    return Decoded(arrays["pixels"], arrays["facts"], corrupt, deep), arrays, ""


def save(path: Path, decoded: Decoded, **more: Any) -> None:
    """Keep what was decoded, and ``more`` arrays; a cache that cannot be written only costs time the next run."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    about = {"corrupt": decoded.corrupt, "deep": [(i, *extent) for i, extent in decoded.deep]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, pixels=decoded.pixels, facts=decoded.facts, about=np.array(json.dumps(about)), **more)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
