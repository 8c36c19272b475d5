"""Which pruning methods exist. Every list, form and validation works on ``MethodInfo``; only the engine loads one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from prunetui.errors import UsageError
from prunetui.plugins import catalogue as all_kinds
from prunetui.plugins.catalogue import Known
from prunetui.plugins.import_file import load_object
from prunetui.plugins.method_source import MethodInfo

if TYPE_CHECKING:
    from prunetui.api import PruningMethod

__all__ = ["MethodInfo", "Methods", "catalogue", "load", "method_info"]


@dataclass(frozen=True)
class Methods:
    """All methods found, and the files that could not be read, each with its reason."""

    methods: Known[MethodInfo]
    problems: tuple[str, ...]


@lru_cache(maxsize=1)
def catalogue() -> Methods:
    """All methods by name, sorted."""
    found: Any = all_kinds.catalogue("method")
    listed = {name: cast("MethodInfo", found.found[name]) for name in sorted(found.found)}
    return Methods(Known("method", listed), found.problems)


def method_info(name: str) -> MethodInfo:
    """The description of one method.

    Raises:
        UsageError: no method has this name.
    """
    methods = catalogue().methods
    if name not in methods:
        raise UsageError(all_kinds.why_unknown("method", name))
    return methods[name]


def load(name: str) -> type[PruningMethod]:
    """Import a method and return its class; this imports torch."""
    return cast("type[PruningMethod]", load_object(method_info(name)))


def forget() -> None:
    """Look for contributions of every kind anew: a package was installed meanwhile."""
    all_kinds.catalogue.cache_clear()
    catalogue.cache_clear()
