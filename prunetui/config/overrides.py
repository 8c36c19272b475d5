"""Values that override keys of a study: ``key.path=VALUE``, as ``--set`` has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from prunetui.config.checks import Located
from prunetui.errors import Mistake
from prunetui.files.safe_toml import PARTS, NotToml, read_toml

OVERRIDES = "--set"
PLACE = 6
"""Digits of a place in a list."""
KeyPath = tuple[str | int, ...]


def apply_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> tuple[set[KeyPath], list[Located]]:
    """Write ``key.path=VALUE`` overrides into ``raw``; returns their paths and what is wrong with them."""
    paths: set[KeyPath] = set()
    mistakes: list[Located] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        parts = [part for part in re.split(r"[.\[]", key.replace("]", "")) if part]
        path = tuple(int(part) if part.isdecimal() and len(part) <= PLACE else part for part in parts)
        if not equals or not path:
            mistakes.append(((), Mistake(key, "an override is written key.path=VALUE", override, file=OVERRIDES)))
            continue
        if len(path) > PARTS:
            wrong = f"no key of a study has {len(path):,} parts; at most {PARTS} are read"
            mistakes.append(((), Mistake(key, wrong, override, file=OVERRIDES)))
            continue
        try:
            found = _value(value)
        except NotToml as error:
            mistakes.append(((), Mistake(key, str(error), override, file=OVERRIDES)))
            continue
        if not _put(raw, path, found):
            mistakes.append((path, Mistake(key, "no such place in the study", override, file=OVERRIDES)))
        else:
            paths.add(path)
    return paths, mistakes


def _put(raw: Any, path: KeyPath, value: Any) -> bool:
    """Set the value at ``path``, making tables on the way; False, and nothing changed, where that cannot be."""
    for part, following in pairwise(path):
        if isinstance(raw, dict) and isinstance(part, str):
            if part not in raw and isinstance(following, int):
                return False
            raw = raw.setdefault(part, {})
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            if isinstance(raw[part], str) and isinstance(following, str):  # a method given by its name alone
                raw[part] = {"name": raw[part]}
            raw = raw[part]
        else:
            return False
    last: Any = path[-1]
    fits = isinstance(raw, dict) if isinstance(last, str) else isinstance(raw, list) and last < len(raw)
    if fits:
        raw[last] = value
    return fits


def _value(text: str) -> Any:
    """TOML value syntax; what is not the TOML of one value is a bare string.

    Raises:
        NotToml: it is TOML, but more than is read.
    """
    try:
        found = read_toml(f"value = {text}")
    except NotToml as error:
        if error.is_syntax:
            return text.strip()
        raise
    return found["value"] if list(found) == ["value"] else text.strip()
