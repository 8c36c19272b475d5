"""Values that are names of contributions: strings that are checked against the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from prunetui.plugins.catalogue import catalogue, is_reference, why_unknown
from prunetui.plugins.installed import PATTERN
from prunetui.plugins.own_files import absolute, as_kept, names_own_file

UNKNOWN = "unknown_contribution"
"""The kind of pydantic's error; its context holds ``names`` to choose from, or a ``reason``."""


@dataclass(frozen=True)
class Named:
    """Marks a string as the name of a contribution of this kind."""

    kind: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The names there are; a study may also say where something is."""
        return tuple(catalogue(self.kind).found)

    def check(self, name: object) -> str:
        """The name, which is known."""
        if isinstance(name, str) and name in catalogue(self.kind).found:
            return name
        if isinstance(name, str) and is_reference(self.kind, name):
            raise PydanticCustomError(UNKNOWN, "not known", {"reason": why_unknown(self.kind, name)})
        raise PydanticCustomError(UNKNOWN, "not a valid choice", {"names": list(self.choices)})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What an editor offers: the names there are; it lets files of the user's and installed packages be."""
        forms = [{"pattern": r"\.py:[^:]+$"}, *([{"pattern": PATTERN}] if self.kind == "model" else [])]
        return {"anyOf": [{"enum": list(self.choices)}, *forms], "type": "string"}


def located(raw: dict[str, Any], folder: Path) -> None:
    """Give every own file that a study names its absolute path; ``folder`` is where relative ones begin.

    Where that is a run's folder, files that are not any more what they were are replaced by the run's copies.
    """
    for table in (raw.get("model"), raw.get("data"), raw.get("task")):
        _locate(table, "name", folder)
    methods = _list(raw.get("methods"))
    for several in (methods, *(_list(method.get("parts")) for method in methods if isinstance(method, dict))):
        for i, method in enumerate(several):
            if isinstance(method, dict):
                _locate(method, "name", folder)
            elif names_own_file(method):
                several[i] = as_kept(absolute(method, folder), folder)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _locate(table: object, key: str, folder: Path) -> None:
    name = table.get(key) if isinstance(table, dict) else None
    if isinstance(table, dict) and isinstance(name, str) and names_own_file(name):
        table[key] = as_kept(absolute(name, folder), folder)
