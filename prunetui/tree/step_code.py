"""The digest of the source that a step is computed by, so that a repaired function never reuses what the old one made.

It begins at the file of the step's kind and follows imports, those inside functions and for types too: what a step is
given is used through its type. Parts of the package that only read and name are left out: what they do to a step is in
its key as plain data. No module is listed by hand and no number is raised by hand, which was forgotten too easily.

Comments, docstrings and blank lines do not count; any other change of these files does, even a harmless one: that costs
an upgrade one computation, and nobody a wrong figure. A kind is invalidated only by what it imports, so a changed edit
leaves the dense training as it is, and a changed measurement every state.

Files are read as text and searched by expressions: parsing them would take a quarter of a second, which a form that
estimates a study would wait for. A test compares with what a parser finds.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
PLAIN = ("config", "errors", "events", "files", "machine", "metrics", "plugins", "store")
"""Parts of the package that are not followed: what a step has of them is plain data or bytes."""
API = "api"
"""The folder that methods are built on; a method may use anything in it."""

_IMPORT = re.compile(rb"\n[ \t]*(?:from[ \t]+(\S+)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n]+))|import[ \t]+([^\n]+))")
_QUOTES = b'"' * 3
_AS = re.compile(r"\s+as\s+\w+|#.*")
Import = tuple[str, str]
"""A module, and the name that is imported from it; the name is empty where the module itself is imported."""


def code_of(source: bytes, docstring: bytes = b"") -> bytes:
    """A source without blank lines, comments on lines of their own, and docstrings, or with this in place of those."""
    parts = source.replace(b"\r\n", b"\n").split(_QUOTES)
    values = []
    for i in range(1, len(parts) - 1, 2):  # what stands between quotes
        stands_alone = not parts[i - 1].rpartition(b"\n")[2].strip() and not parts[i + 1].partition(b"\n")[0].strip()
        if not stands_alone:
            values.append(_QUOTES + parts[i] + _QUOTES)
        parts[i] = (docstring or b"#") if stands_alone else b"\0"
    lines = (line for line in b"".join(parts).split(b"\n") if (text := line.lstrip()) and not text.startswith(b"#"))
    between = b"\n".join(lines).split(b"\0")
    return b"".join(part for pair in zip(between, [*values, b"\n"], strict=True) for part in pair)


def imports_of(code: bytes) -> Iterator[Import]:
    """What a source imports, wherever in it."""
    for module, many, few, plain in _IMPORT.findall(b"\n" + code):
        names = [name.strip() for name in _AS.sub("", (many or few or plain).decode()).split(",")]
        for name in filter(None, names):
            yield (module.decode(), name) if module else (name, "")


class Sources:
    """The sources of a package, each read once."""

    def __init__(self, package: Path = PACKAGE) -> None:
        self._package = package.name
        self._parent = package.parent.as_posix()
        self._code: dict[str, bytes] = {}
        self._imports: dict[str, list[Import]] = {}
        self._built_on: dict[str, set[str]] = {}
        self._files: dict[str, str] = {}
        self._lines: dict[str, str] = {}

    def digest(self, files: Iterable[str]) -> str:
        """The digest of the code of ``files`` and of all that they are built on."""
        return hashlib.sha256("\n".join(sorted(map(self._line, self.reached(files)))).encode()).hexdigest()[:16]

    def reached(self, files: Iterable[str]) -> set[str]:
        """``files`` and what they import, directly or not, of the folders that compute."""
        found: set[str] = set()
        waiting = list(files)
        while waiting:
            file = waiting.pop()
            if file not in found:
                found.add(file)
                waiting += self._directly(file)
        return found

    @cached_property
    def api(self) -> list[str]:
        """All files that methods are built on."""
        return sorted(file.as_posix() for file in Path(self._parent, self._package, API).rglob("*.py"))

    def code(self, file: str) -> bytes:
        if file not in self._code:
            self._code[file] = code_of(Path(file).read_bytes())
        return self._code[file]

    def _imported(self, file: str) -> list[Import]:
        if file not in self._imports:
            self._imports[file] = list(imports_of(self.code(file)))
        return self._imports[file]

    def _directly(self, file: str) -> set[str]:
        if file not in self._built_on:
            self._built_on[file] = {place for one in self._imported(file) if (place := self._place(*one))}
        return self._built_on[file]

    def _place(self, module: str, name: str) -> str:
        """The file of what is imported, if it computes; a name that a package has from elsewhere is sought there."""
        if module.split(".", 1)[0] != self._package:
            return ""
        if name and (file := self._file(f"{module}.{name}")):
            return file
        file = self._file(module)
        if name and file.endswith("__init__.py"):
            for origin, imported in self._imported(file):
                if imported == name and origin != module:
                    return self._place(origin, name)
        return file

    def _file(self, module: str) -> str:
        """The file of a module, if it computes."""
        if module not in self._files:
            place = f"{self._parent}/{module.replace('.', '/')}"
            part = (*module.split("."), "")[1]
            places = () if part in ("", *PLAIN) else (f"{place}.py", f"{place}/__init__.py")
            self._files[module] = next((file for file in places if Path(file).is_file()), "")
        return self._files[module]

    def _line(self, file: str) -> str:
        """A file as its part of a digest: its name, which is the same wherever the package lies, and its code."""
        if file not in self._lines:
            path = Path(file)
            inside = path.is_relative_to(Path(self._parent, self._package))
            name = path.relative_to(self._parent).as_posix() if inside else path.name
            self._lines[file] = f"{name} {hashlib.sha256(self.code(file)).hexdigest()}"
        return self._lines[file]


SOURCES = Sources()


@cache
def code_digest(kind: type, with_api: bool) -> str:
    """The digest of the code that steps of a kind are computed by; of those that run a method, with all of the api."""
    file = sys.modules[kind.__module__].__file__
    own = [Path(file).resolve().as_posix()] if file else []  # a kind that was typed into an interpreter is in no file
    return SOURCES.digest([*own, *(SOURCES.api if with_api else [])])


@cache
def file_digest(file: Path) -> str:
    """The digest of a file of the program and of all that it is built on."""
    return SOURCES.digest([file.resolve().as_posix()])
