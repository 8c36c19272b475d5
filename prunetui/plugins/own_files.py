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
from prunetui.plugins.read_source import MOST_BYTES, digest_of, read_contributions, read_undecorated

REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[^:/\\]+)", re.DOTALL)
MODULE = "prunetui_own_"
"""Before the digest of a file, in the name of the module that it becomes."""
COPIES = "contributions"
"""The folder of a run that holds copies of the user's files."""


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
        UsageError: the file cannot be read, is no Python, or holds nothing of this kind with this name.
    """
    file = file_of(name)
    try:
        about = file.stat()
        found = _read(kind, name, str(file), about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from None
    if isinstance(found, str):
        raise UsageError(found)
    return found


@lru_cache(maxsize=64)
def _read(kind: str, name: str, path: str, changed: int, size: int) -> Contribution | str:
    """The contribution, or why there is none; a file that was changed is read anew."""
    file, wanted = Path(path), name.rpartition(":")[2]
    about = KINDS[kind]
    try:
        module = f"{MODULE}{digest_of(read_regular(file, MOST_BYTES))}_{file.stem}"
        listed = read_contributions(about, module, file, "file")
        found = [one for one in listed if wanted in (one.name, one.symbol)]
        if not found and not about.needs_decorator:
            bare = read_undecorated(about, module, file, wanted)
            found = [bare] if bare else []
    except OSError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError, PrunetuiError) as error:
        return f"{file}: {error}"
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

    Each has its digest before its name, so files of one name lie beside each other.

    Raises:
        UsageError: one is not there any more.
    """
    copies = []
    for kind, name in dict.fromkeys(names):
        if names_own_file(name):
            found = own_contribution(kind, name)
            copy = copy_of(run_folder, found.file, found.digest)
            copy.parent.mkdir(exist_ok=True)
            write_atomic(copy, found.file.read_text(encoding="utf-8"))
            copies.append(copy)
    return copies


def as_kept(name: str, run_folder: Path) -> str:
    """The same name, or that of the run's copy where the file is not any more what it was when the run was made."""
    file, wanted = file_of(name), name.rpartition(":")[2]
    copies = list((run_folder / COPIES).glob(f"*-{glob.escape(file.name)}"))
    try:
        unchanged = copy_of(run_folder, file, digest_of(read_regular(file, MOST_BYTES))) in copies
    except OSError:
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
