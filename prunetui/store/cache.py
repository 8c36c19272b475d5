"""States under the hash of all that led to them, shared by the trials of a run and by all runs beside it.

An entry is a folder ``<key>/`` that appears by one rename, so it is whole or absent.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunetui.atomic import sync_folder, write_synced

META = "meta.json"


class Cache:
    """The folder ``root`` of finished steps."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def meta(self, key: str) -> dict[str, Any] | None:
        """What was noted about a finished step, or None when it is not there."""
        try:
            meta: dict[str, Any] = json.loads((self._folder(key) / META).read_bytes())
        except (OSError, ValueError):
            return None
        return meta

    def file(self, key: str, name: str) -> Path | None:
        """The path of one file of an entry."""
        path = self._folder(key) / name
        return path if path.is_file() else None

    def put(self, key: str, meta: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        """Publish a finished step; one that is already there is left as it is."""
        folder = self._folder(key)
        if self.meta(key) is not None:
            return
        self.drop(key)  # one that cannot be read is in the way
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            for name, data in (files or {}).items():
                write_synced(temporary / name, data)
            write_synced(temporary / META, json.dumps(dict(meta)).encode())
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not folder.exists():  # else another process published the same step first
                raise
        sync_folder(folder.parent)

    def drop(self, key: str) -> None:
        """Remove one entry, if it is there."""
        folder = self._folder(key)
        doomed = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed)

    def size(self) -> tuple[int, int]:
        """Number of entries and the bytes they occupy."""
        entries = size = 0
        for folder, _, names in os.walk(self.root):
            entries += META in names
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # a run drops states while we look
                    size += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118 - 3x faster
        return entries, size

    def prune(self) -> tuple[int, int]:
        """Empty the cache; returns what ``size`` was. Run folders keep their models."""
        before = self.size()
        shutil.rmtree(self.root, ignore_errors=True)
        return before

    def _folder(self, key: str) -> Path:
        return self.root / key[:2] / key
