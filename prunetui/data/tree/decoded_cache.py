"""Decoded images in the user's cache directory, under a hash of their files and of how they were decoded."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from prunetui.data.tree.decode import Decoded
from prunetui.data.tree.levels import Extent

RULES = 2
"""Changes when the same files are decoded into other pixels or facts."""


def place(digest: str, size: int, levels: str) -> Path:
    """Where the images of a listing are kept, decoded to a side; ``levels`` says how deep ones are scaled."""
    return user_cache_path("prunetui") / "images" / f"{digest}-{size}-{levels}v{RULES}.npz"


def load(path: Path, count: int, size: int) -> tuple[Decoded | None, str]:
    """What is kept for ``count`` images, or None; and what was wrong with it."""
    if not path.is_file():
        return None, ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            deep = [(int(i), Extent(str(d), float(low), float(high))) for i, d, low, high in about["deep"]]
            corrupt = [(int(i), str(reason)) for i, reason in about["corrupt"]]
            found = Decoded(kept["pixels"], kept["facts"], corrupt, deep)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        return None, f"{type(error).__name__}: {error}"
    wanted = ((count, 3, size, size), np.dtype(np.uint8)), ((count,), np.dtype(np.uint16))
    if ((found.pixels.shape, found.pixels.dtype), (found.facts.shape, found.facts.dtype)) != wanted:
        return None, "images of another number or size"
    return found, ""


def save(path: Path, decoded: Decoded) -> None:
    """Keep what was decoded; a cache that cannot be written only costs time the next run."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    about = {"corrupt": decoded.corrupt, "deep": [(i, *extent) for i, extent in decoded.deep]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, pixels=decoded.pixels, facts=decoded.facts, about=np.array(json.dumps(about)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
