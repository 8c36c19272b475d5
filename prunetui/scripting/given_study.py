"""The study of a call: a file, a preset, a mapping of what a file would say, or a study; with changes on top."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunetui.config import Study, load_study, parse_study, study_toml
from prunetui.errors import UsageError

Given = str | Path | Mapping[str, Any] | Study


def given_study(study: Given, changes: Mapping[str, Any]) -> Study:
    """The study of a call; ``changes`` are ``{"seeds": [0, 1]}``, ``{"train.epochs": 3}`` or ``{"train": {...}}``.

    Raises:
        UsageError: there is no such study, it has mistakes (all are told), or it holds objects.
    """
    overrides = overrides_of(changes)
    if isinstance(study, str | Path):
        return load_study(str(study), overrides)
    if isinstance(study, Study):
        return parse_study(study_toml(study), overrides)
    if isinstance(study, Mapping):
        return parse_study(
            "".join(f"{_key(key)} = {_toml(value, str(key))}\n" for key, value in study.items()), overrides
        )
    raise UsageError(
        f"study is {type(study).__name__}; it must be the path of a study, the name of a preset, a dict or a Study"
    )


def overrides_of(changes: Mapping[str, Any]) -> list[str]:
    """Changes of a study as ``--set`` takes them: ``key.path=VALUE``."""
    return [f"{place}={_toml(value, place)}" for place, value in _flat(changes, "")]


def _flat(changes: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _key(key: object) -> str:
    return json.dumps(str(key), ensure_ascii=False)


def _toml(value: Any, place: str) -> str:
    """A value as TOML writes it in one line.

    Raises:
        UsageError: it is an object: a study says names and files.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(one, f'{place}.{key}')}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple | range):
        return "[" + ", ".join(_toml(one, f"{place}[{i}]") for i, one in enumerate(value)) + "]"
    raise UsageError(
        f'{place}: a study says names and files, as model.name = "net.py:make_net"; got an object of '
        f"{type(value).__name__}. prunetui.prune takes networks, data and methods that are in memory"
    )
