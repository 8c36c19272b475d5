"""Modules beside a user's own file: what it imports of them belongs to it, in its digest and in the copies of a run.

Only what Python finds nowhere else is sought there: no file beside stands for one of Python's or of a package's.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from prunetui.errors import PrunetuiError
from prunetui.files.regular import read_regular

MOST_BYTES = 4 << 20
MOST_FILES = 500
COPIES = "contributions"
"""The folder of a run with copies of the user's files; what a copy imports lies in a folder called as its digest."""


def folder_beside(file: Path) -> Path:
    """Where the modules lie that a user's file, or a run's copy of it, imports."""
    if file.parent.name == COPIES:
        return file.parent / file.name.partition("-")[0]
    return file.parent


def imported_beside(file: Path, source: bytes) -> dict[str, bytes]:
    """What ``source``, the content of ``file``, imports of the modules beside it, directly or through others.

    A package counts with all its files. By their paths from that folder; a name that is computed is not seen.

    Raises:
        OSError: one of them cannot be read.
        SyntaxError, ValueError: one is no Python.
        PrunetuiError: they are too many.
    """
    folder, found, seen, sources = folder_beside(file), dict[str, bytes](), set[str](), [(source, str(file))]
    while sources:
        for name in sorted(_imported_names(*sources.pop()) - seen):
            seen.add(name)
            for path in _files_of(name, folder):
                if path == file:
                    continue
                content = read_regular(path, MOST_BYTES)
                found[path.relative_to(folder).as_posix()] = content
                sources.append((content, str(path)))
                if len(found) > MOST_FILES:
                    raise PrunetuiError(f"{file} imports more than {MOST_FILES} files beside it: install them instead")
    return found


def digest_of(source: bytes) -> str:
    """What identifies the content of a file in a step's key."""
    return hashlib.sha256(source).hexdigest()[:16]


def digest_with(source: bytes, beside: Mapping[str, bytes]) -> str:
    """Of a file with what it imports beside it; of one that imports nothing there as of any other."""
    if not beside:
        return digest_of(source)
    parts = [source, *(part for name, content in sorted(beside.items()) for part in (name.encode(), content))]
    return digest_of(b"".join(hashlib.sha256(part).digest() for part in parts))


@lru_cache(maxsize=256)
def _imported_names(source: bytes, file: str) -> frozenset[str]:
    """The first words of all that a source imports, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source, file)):
        if isinstance(node, ast.Import):
            names |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def _files_of(name: str, folder: Path) -> Iterator[Path]:
    """The files of a module of this name in a folder, where Python finds it nowhere else."""
    package, module = folder / name, folder / f"{name}.py"
    if _is_elsewhere(name, folder):
        return
    if module.is_file() and not (package / "__init__.py").is_file():
        yield module
    elif package.is_dir():
        yield from sorted(path for path in package.rglob("*.py") if path.is_file())


def _is_elsewhere(name: str, folder: Path) -> bool:
    if name in sys.stdlib_module_names:
        return True
    spec = PathFinder.find_spec(name)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return not any(folder in Path(place).parents for place in places)


# Importing them ------------------------------------------------------------------------------------------


class _Loader(SourceFileLoader):
    """Reads and writes no bytecode: what is run is what was read, and nothing is written beside the user's files."""

    def path_stats(self, path: Any) -> Any:
        raise OSError("bytecode is not used")


class _Finder:
    """The last finder of this process: asked for a module where no other knows it."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        folder = self.folders.get(name.partition(".")[0])
        if folder is None:
            return None
        place = folder.joinpath(*name.split(".")[:-1])
        return FileFinder(str(place), (_Loader, SOURCE_SUFFIXES)).find_spec(name)


_finder = _Finder()
_loaded: dict[str, str] = {}
"""The digest of what each name was loaded from."""


def make_importable(file: Path, beside: Mapping[str, bytes]) -> None:
    """Let the modules beside a file be imported in this process; a name of another file's is that of the last one.

    What a file imports while it is loaded it has for good; an import within a function, run later, finds the last.
    """
    if not beside:
        return
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    digest = digest_with(b"", beside)  # of all: one that is the same may have taken something from one that is not
    for name in sorted({path.partition("/")[0].removesuffix(".py") for path in beside}):
        if _loaded.get(name) != digest:
            for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                del sys.modules[module]
        _finder.folders[name], _loaded[name] = folder_beside(file), digest
