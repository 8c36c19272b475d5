"""The tables of methods: the keys that all have told from each method's own options, which are validated here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from prunetui.config.mistakes import HINTED, Path, dotted, from_pydantic, nearest
from prunetui.config.schema import MethodTable, PartTable, as_table
from prunetui.config.table import TomlTable
from prunetui.errors import Mistake
from prunetui.plugins.catalogue import why_unknown
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.method_catalogue import MethodInfo, catalogue
from prunetui.plugins.own_files import names_own_file

Located = tuple[Path, Mistake]
METHOD_KEYS = frozenset(MethodTable.model_fields) - {"options"}
PART_KEYS = frozenset(PartTable.model_fields) - {"options"}
_MODELS: dict[tuple[str, str, str], type[BaseModel]] = {}


def method_tables(
    raw: object, at: Path = ("methods",), keys: frozenset[str] = METHOD_KEYS
) -> tuple[object, list[Located]]:
    """Split each method's table into the common keys and its own validated options; a hybrid's parts likewise."""
    if not isinstance(raw, list):
        return raw, []
    known = catalogue().methods
    tables: list[object] = []
    mistakes: list[Located] = []
    for i, given in enumerate(raw):
        table, path = as_table(given), (*at, i)
        if not isinstance(table, dict):
            tables.append(table)
            continue
        common = {key: value for key, value in table.items() if key in keys}
        own = {key: value for key, value in table.items() if key not in keys}
        name = table.get("name")
        if isinstance(name, str) and name not in known:
            where = dotted((*path, "name"))
            mistakes.append(((*path, "name"), _unknown(name, known, where, with_hint=len(mistakes) < HINTED)))
        elif isinstance(name, str):
            own, wrong_options = _options(known[name], own, path, keys)
            mistakes += wrong_options
        if "parts" in common:
            common["parts"], wrong_parts = method_tables(common["parts"], (*path, "parts"), PART_KEYS)
            mistakes += wrong_parts
        tables.append({**common, "options": own})
    return tables, mistakes


def _unknown(name: str, known: Mapping[str, MethodInfo], where: str, with_hint: bool) -> Mistake:
    if names_own_file(name):
        return Mistake(where, why_unknown("method", name), f'"{name}"')
    return Mistake(where, "no such method", f'"{name}"', ", ".join(known), nearest(name, known) if with_hint else "")


def _options(
    info: MethodInfo, given: dict[str, Any], path: Path, keys: frozenset[str]
) -> tuple[dict[str, Any], list[Located]]:
    model = options_model(info)
    try:
        return model.model_validate(given).model_dump(), []
    except ValidationError as error:
        found = from_pydantic(error, model, given, path)
        return {}, [(path, _with_common(m, path, sorted(keys))) for path, m in found]


def _with_common(mistake: Mistake, path: Path, common: list[str]) -> Mistake:
    """An unknown key of a method's table may also be a misspelt common key."""
    if mistake.message != "unknown key":
        return mistake
    allowed = [*common, *filter(None, mistake.allowed.split(", "))]
    return Mistake(mistake.path, mistake.message, mistake.got, ", ".join(allowed), nearest(path[-1], allowed))


def options_model(info: Contribution) -> type[BaseModel]:
    """A pydantic model of a contribution's own options; made once, which takes a millisecond."""
    key = (info.kind, info.name, info.digest)
    if key not in _MODELS:
        fields: dict[str, Any] = {
            option.name: (option.type, ... if option.required else option.default) for option in info.options
        }
        _MODELS[key] = create_model(f"{info.name} options", __base__=TomlTable, **fields)
    return _MODELS[key]
