"""The shortest way to say a study: without what the defaults say anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tomli_w
from pydantic import BaseModel

from prunetui.config.read_study import parse_study
from prunetui.config.schedule import SCHEDULES
from prunetui.config.schema import Study
from prunetui.config.write import resolved
from prunetui.errors import ConfigError
from prunetui.plugins.method_catalogue import catalogue

Path = tuple[str | int, ...]
FROM_STUDY = ("schedule", "target", "sparsities")
"""What a method takes from its study when it says nothing."""


def minimal(study: Study) -> dict[str, Any]:
    """Plain data that reads as the same study, in which nothing stands that could be left out.

    A default may depend on another key (a checkpoint turns training off), so every key is only left out when the
    study that is then read is the same.
    """
    full = resolved(study)
    plain = _short(full)
    for keys in _groups(plain):
        _leave_out(plain, keys, full)
    return {key: value for key, value in plain.items() if value not in ({}, [])}


def _short(plain: dict[str, Any]) -> dict[str, Any]:
    """A copy in which a schedule without options is its name."""
    copy = {k: dict(v) if isinstance(v, dict) else v for k, v in plain.items()}
    copy["methods"] = [dict(method) for method in plain["methods"]]
    for table in (copy, *copy["methods"]):
        given = table["schedule"]
        silent = SCHEDULES[given["name"]]().model_dump(exclude_none=True)
        changed = {k: v for k, v in given.items() if k == "name" or v != silent.get(k)}
        table["schedule"] = changed["name"] if len(changed) == 1 else changed
    return copy


def _groups(plain: dict[str, Any]) -> list[list[Path]]:
    """Keys that may be left out, together if that can be: those that say what the default says."""
    groups: list[list[Path]] = []
    known = catalogue().methods
    for i, method in enumerate(plain["methods"]):
        options = {option.name: option.default for option in known[method["name"]].options}
        defaults = {key for key, value in options.items() if key in method and method[key] == value}
        own = [key for key in method if key in FROM_STUDY or key in defaults]
        groups.append([("methods", i, key) for key in own])
    groups.append([(key,) for key, field in Study.model_fields.items() if _says(plain.get(key), field.default)])
    for table, field in Study.model_fields.items():
        if isinstance(field.default, BaseModel) and isinstance(plain.get(table), dict) and table != "schedule":
            fields = type(field.default).model_fields
            groups.append([(table, k) for k, v in plain[table].items() if _says(v, fields[k].default)])
    return groups


def _says(value: object, default: object) -> bool:
    if isinstance(default, BaseModel):
        return value == getattr(default, "name", None)
    return value == (list(default) if isinstance(default, tuple) else default)


def _leave_out(plain: dict[str, Any], keys: Sequence[Path], full: dict[str, Any]) -> None:
    """Remove all ``keys`` if the study stays the same, else those of them that can be removed one by one."""
    removed = {key: _pop(plain, key) for key in keys}
    if not keys or _reads_as(plain, full):
        return
    for key, value in removed.items():
        _put(plain, key, value)
    if len(keys) > 1:
        for key in keys:
            _leave_out(plain, [key], full)


def _reads_as(plain: dict[str, Any], full: dict[str, Any]) -> bool:
    try:
        return resolved(parse_study(tomli_w.dumps(plain))) == full
    except ConfigError:
        return False


def _table(plain: Any, key: Path) -> Any:
    for part in key[:-1]:
        plain = plain[part]
    return plain


def _pop(plain: dict[str, Any], key: Path) -> Any:
    return _table(plain, key).pop(key[-1])


def _put(plain: dict[str, Any], key: Path, value: Any) -> None:
    _table(plain, key)[key[-1]] = value
