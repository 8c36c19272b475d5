"""The user's own files: a study names what is in one as ``my_net.py:make_net``.

The path is relative to the folder of the study, or absolute. What is read, and later run, is that very file, wherever
Python's search path leads; its digest is part of what a study computes, and a copy of it is kept with the run.
"""

from __future__ import annotations

import glob
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from prunetui.errors import PrunetuiError, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.files.paths import user_path
from prunetui.files.regular import read_regular
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.kinds import KINDS, Kind
from prunetui.plugins.read_source import read_contributions, read_undecorated
from prunetui.plugins.sibling_files import COPIES, MOST_BYTES, digest_with, imported_beside

REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[^:/\\]+)", re.DOTALL)
MODULE = "prunetui_own_"
"""Before the digest of a file, in the name of the module that it becomes."""


def names_own_file(name: object) -> bool:
    """Whether a name in a study is that of something in a file of the user's."""
    return isinstance(name, str) and REFERENCE.fullmatch(name) is not None


def absolute(name: str, folder: Path) -> str:
    """The same name with an absolute path, which was relative to ``folder``; other names as they are."""
    found = REFERENCE.fullmatch(name)
    if found is None:
        return name
    return f"{os.path.normpath(folder.absolute() / user_path(found['file']))}:{found['name']}"


def short(name: str) -> str:
    """A name without the path to its file, for lists and labels."""
    found = REFERENCE.fullmatch(name)
    return f"{Path(found['file']).name}:{found['name']}" if found else name


def file_of(name: str) -> Path:
    """The file of a name that names one."""
    found = REFERENCE.fullmatch(name)
    assert found
    return user_path(found["file"]).absolute()


def own_contribution(kind: str, name: str) -> Contribution:
    """What a file of the user's contributes under ``name``, which is the whole reference.

    Raises:
        UsageError: the file, or one that it imports beside it, cannot be read, is no Python, or holds nothing of this
            kind with this name.
    """
    file = file_of(name)
    try:
        found = _read(kind, name, str(file), _digest(file))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or file}: {error.strerror or error}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError, PrunetuiError) as error:
        raise UsageError(f"{file}: {error}") from None
    if isinstance(found, str):
        raise UsageError(found)
    return found


def _digest(file: Path) -> str:
    """Of a user's file with what it imports beside it."""
    source = read_regular(file, MOST_BYTES)
    return digest_with(source, imported_beside(file, source))


@lru_cache(maxsize=64)
def _read(kind: str, name: str, path: str, digest: str) -> Contribution | str:
    """The contribution, or why there is none; a file that was changed is read anew."""
    file, wanted = Path(path), name.rpartition(":")[2]
    about, module = KINDS[kind], f"{MODULE}{digest}_{file.stem}"
    listed = read_contributions(about, module, file, "file")
    found = [one for one in listed if wanted in (one.name, one.symbol)]
    if not found and not about.needs_decorator:
        bare = read_undecorated(about, module, file, wanted)
        found = [bare] if bare else []
    if not found:
        return _nothing(about, file, wanted, [one.name for one in listed])
    return _renamed(found[0], name)


def _renamed(found: Contribution, name: str) -> Contribution:
    """The same under the whole reference, by which the study names it."""
    values: dict[str, Any] = {**vars(found), "name": name}
    return type(found)(**values)


def _nothing(kind: Kind, file: Path, wanted: str, names: list[str]) -> str:
    there = f"it has: {', '.join(names)}" if names else f"nothing in it is decorated with @{kind.decorator}(...)"
    bare = "" if kind.needs_decorator else " and no function or class of this name stands in it"
    return f"{file} has no {kind.name} called {wanted!r}{bare}; {there}"


def keep_copies(names: list[tuple[str, str]], run_folder: Path) -> list[Path]:
    """Copy the files that ``names`` (each kind and name of a study) name into the run; returns the copies.

    Each has its digest before its name, so files of one name lie beside each other; what it imports beside it lies in
    a folder called as its digest.

    Raises:
        UsageError: one is not there any more.
    """
    copies = []
    for kind, name in dict.fromkeys(names):
        if names_own_file(name):
            found = own_contribution(kind, name)
            copy = copy_of(run_folder, found.file, found.digest)
            source = read_regular(found.file, MOST_BYTES)
            for part, content in imported_beside(found.file, source).items():
                _write(copy.parent / found.digest / part, content)
            _write(copy, source)
            copies.append(copy)
    return copies


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)


def as_kept(name: str, run_folder: Path) -> str:
    """The same name, or that of the run's copy where the file is not any more what it was when the run was made."""
    file, wanted = file_of(name), name.rpartition(":")[2]
    copies = list((run_folder / COPIES).glob(f"*-{glob.escape(file.name)}"))
    try:
        unchanged = copy_of(run_folder, file, _digest(file)) in copies
    except (OSError, SyntaxError, ValueError, PrunetuiError):
        unchanged = False
    return name if unchanged or len(copies) != 1 else f"{copies[0].absolute()}:{wanted}"


def copies_used(names: list[tuple[str, str]]) -> list[str]:
    """A line for each of a study's names that is that of a run's copy."""
    files = dict.fromkeys(file_of(name) for _, name in names if names_own_file(name))
    return [
        f"{file.name.partition('-')[2]} is not any more what it was when this run was made: its copy {file} is used"
        for file in files
        if file.parent.name == COPIES
    ]


def copy_of(run_folder: Path, file: Path, digest: str) -> Path:
    """Where a run keeps its copy of a user's file."""
    return run_folder / COPIES / f"{digest}-{file.name}"
