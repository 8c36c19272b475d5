"""Which contributions of a kind there are: built in, announced by installed packages, and files that a study names."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from prunetui.errors import UsageError
from prunetui.plugins.contribution import Contribution, Origin
from prunetui.plugins.installed import installed_contribution, names_installed
from prunetui.plugins.kinds import KINDS, Kind
from prunetui.plugins.libraries import library_of
from prunetui.plugins.own_files import names_own_file, own_contribution
from prunetui.plugins.read_source import read_contributions

T = TypeVar("T", bound=Contribution)
Module = tuple[str, Path, Origin]


class Known(Mapping[str, T], Generic[T]):
    """Contributions by name: lists those that are built in or announced, and knows those that a name refers to, too."""

    def __init__(self, kind: str, listed: Mapping[str, T]) -> None:
        self._kind, self._listed = kind, listed

    def __getitem__(self, name: str) -> T:
        if name in self._listed or not is_reference(self._kind, name):
            return self._listed[name]
        try:
            return _referred(self._kind, name)  # type: ignore[return-value]
        except UsageError as error:
            raise KeyError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """All contributions of a kind, and the files that could not be read, each with its reason."""

    found: Known[T]
    problems: tuple[str, ...]


@cache
def catalogue(kind: str) -> Catalogue[Contribution]:
    """Find all contributions of a kind; a file that cannot be read becomes a problem, never an exception.

    They stand in the order of their files and in these as they stand there, and of packages after the built-in ones.
    """
    about = KINDS[kind]
    found: dict[str, Contribution] = {}
    problems: list[str] = []
    for module, file, origin in _modules(about, problems):
        try:
            listed = read_contributions(about, module, file, origin)
        except Exception as error:  # noqa: BLE001 - somebody else's file may be wrong in any way; it is told, not raised
            problems.append(f"{file}: {error}")
            continue
        for one in listed:
            if one.name in found:
                problems.append(f"{file}: the name {one.name!r} is taken by {found[one.name].file}")
            else:
                found[one.name] = one
    return Catalogue(Known(kind, found), tuple(problems))


def _modules(kind: Kind, problems: list[str]) -> list[Module]:
    modules: list[Module] = [(f"{kind.package}.{file.stem}", file, "built-in") for file in kind.files()]
    for entry in entry_points(group=kind.group):
        try:
            spec = importlib.util.find_spec(entry.module)
        except Exception as error:  # noqa: BLE001 - a parent package runs its own code when it is looked up
            problems.append(f"entry point {entry.name}: {type(error).__name__}: {error}")
            continue
        if spec is None or spec.origin is None:
            problems.append(f"entry point {entry.name}: no module {entry.module}")
        else:
            modules.append((entry.module, Path(spec.origin), "package"))
    return modules


def is_reference(kind: str, name: object) -> bool:
    """Whether a name says where the contribution is: in a file of the user's or, of models, in an installed package."""
    return names_own_file(name) or (kind == "model" and names_installed(name))


def runs_code(name: object) -> bool:
    """Whether building what a name says runs a file of somebody's, or any function of an installed package.

    Libraries of networks are not meant: they build theirs from plain options.
    """
    return names_own_file(name) or (names_installed(name) and library_of(str(name)) is None)


def _referred(kind: str, name: str) -> Contribution:
    return own_contribution(kind, name) if names_own_file(name) else installed_contribution(kind, name)


def contribution(kind: str, name: str) -> Contribution:
    """The description of one contribution.

    Raises:
        UsageError: there is none of this name; says the nearest, or what is wrong with the user's file.
    """
    found = catalogue(kind).found
    if name in found:
        return found[name]
    raise UsageError(why_unknown(kind, name))


def why_unknown(kind: str, name: str) -> str:
    """Why a name is that of no contribution."""
    if is_reference(kind, name):
        try:
            _referred(kind, name)
        except UsageError as error:
            return str(error)
    names = list(catalogue(kind).found)
    near = difflib.get_close_matches(name, names, 1)
    noun = {"data": "data set"}.get(kind, kind)
    return f"no {noun} is called {name!r}; there are: {', '.join(names)}" + (
        f"; did you mean {near[0]}?" if near else ""
    )
