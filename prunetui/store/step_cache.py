"""States under the hash of all that led to them, shared by the trials of a run and by all runs beside it.

An entry is a folder ``<key>/`` that appears by one rename, so it is whole or absent. Its ``meta.json`` holds the
digests of its files and of itself; what does not fit them is not believed: it is as if it were absent.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prunetui.files.atomic import sync_folder, write_synced
from prunetui.files.regular import read_regular
from prunetui.files.safe_json import read_json

META = "meta.json"
MOST_META = 1 << 20
TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}
"""Errors that say nothing of the file."""


class Cache:
    """The folder ``root`` of finished steps.

    With ``tell``, what is found damaged is dropped and named in a line: whoever computes does so. Who only looks
    leaves everything as it is.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] | None = None) -> None:
        self.root = root
        self._tell = tell

    def meta(self, key: str) -> dict[str, Any] | None:
        """What was noted about a finished step, or None when it is not there, or damaged."""
        entry = self._entry(key)
        return None if entry is None else dict(entry["meta"])

    def file(self, key: str, name: str) -> Path | None:
        """The path of one file of an entry, whose content is not looked at."""
        path = self._folder(key) / name
        return path if path.is_file() else None

    def files(self, key: str) -> dict[str, bytes] | None:
        """The content of an entry's files, each as it was written; None when it is not there, or damaged."""
        entry = self._entry(key)
        if entry is None:
            return None
        found = {}
        for name, sha256 in entry["files"].items():
            try:
                data = read_regular(self._folder(key) / name, None)
                trouble = "" if hashlib.sha256(data).hexdigest() == sha256 else "its checksum does not fit"
            except OSError as error:
                trouble = _trouble(error)
            if trouble:
                self.damaged(key, f"{name}: {trouble}")
                return None
            found[name] = data
        return found

    def sha256(self, key: str, name: str) -> str | None:
        """The digest of one file of an entry as it was written."""
        entry = self._entry(key)
        return None if entry is None else entry["files"].get(name)

    def put(self, key: str, meta: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        """Publish a finished step; one that is already there is left as it is."""
        folder = self._folder(key)
        if self._entry(key) is not None:
            return
        self.drop(key)  # one that cannot be read is in the way
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in (files or {}).items()}
        plain = json.loads(json.dumps({"meta": dict(meta), "files": digests}))  # as it will be read: lists, no tuples
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            for name, data in (files or {}).items():
                write_synced(temporary / name, data)
            write_synced(temporary / META, json.dumps({**plain, "sha256": _own_digest(plain)}).encode())
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
        shutil.rmtree(doomed, ignore_errors=True)  # of a process of the same number that was killed here
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        except NotADirectoryError:  # somebody put a file in the place of the folder of folders
            folder.parent.unlink()
            return
        if doomed.is_dir() and not doomed.is_symlink():
            shutil.rmtree(doomed, ignore_errors=True)
        else:  # somebody put a file there
            doomed.unlink(missing_ok=True)

    def damaged(self, key: str, trouble: str) -> None:
        """An entry turned out to be something else than it should: it goes, and is computed again."""
        if self._tell is None:
            return
        self.drop(key)
        self._tell(f"a kept step was damaged and is computed again ({key[:8]}: {trouble})")

    def size(self) -> tuple[int, int]:
        """Number of entries and the bytes they occupy."""
        entries = size = 0
        for folder, _, names in os.walk(self.root):
            entries += META in names
            for name in names:
                with contextlib.suppress(OSError):  # a run drops states while we look, and somebody may put links there
                    size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - 3x faster
        return entries, size

    def prune(self) -> tuple[int, int]:
        """Empty the cache; returns what ``size`` was. Run folders keep their models."""
        before = self.size()
        shutil.rmtree(self.root, ignore_errors=True)
        return before

    def _entry(self, key: str) -> dict[str, Any] | None:
        """The content of an entry's ``meta.json``, if it is what was written there."""
        folder = self._folder(key)
        try:
            return _checked(read_json(read_regular(folder / META, MOST_META), most_bytes=MOST_META))
        except FileNotFoundError:
            if not os.path.lexists(folder):
                return None
            trouble = "it is not there"
        except OSError as error:
            trouble = _trouble(error)
        except ValueError as error:
            trouble = str(error)
        self.damaged(key, f"{META}: {trouble}")
        return None

    def _folder(self, key: str) -> Path:
        return self.root / key[:2] / key


def _trouble(error: OSError) -> str:
    """Why a file cannot be read.

    Raises:
        OSError: it says nothing of the file.
    """
    if error.errno in TRANSIENT:
        raise error
    return error.strerror or str(error)


def _checked(plain: Any) -> dict[str, Any]:
    """What ``put`` wrote.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(plain, dict) or set(plain) != {"meta", "files", "sha256"}:
        raise ValueError("it is not the description of a step")
    meta, files = plain["meta"], plain["files"]
    if plain["sha256"] != _own_digest({"meta": meta, "files": files}):
        raise ValueError("its checksum does not fit")
    if not isinstance(meta, dict) or not isinstance(files, dict) or not all(map(_is_name, files)):
        raise ValueError("it is not the description of a step")
    seconds = [meta.get(name, 0.0) for name in ("seconds", "path_seconds")]
    if not all(type(value) in (int, float) and math.isfinite(value) and value >= 0 for value in seconds):
        raise ValueError("its times are no times")
    if not isinstance(meta.get("result", {}), dict):
        raise ValueError("its result is no table")
    return plain


def _is_name(name: str) -> bool:
    return Path(name).name == name and name != META


def _own_digest(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
