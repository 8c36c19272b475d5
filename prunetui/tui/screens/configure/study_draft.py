"""A study while it is written: plain data, right or wrong, and its TOML. Knows no schema."""

from __future__ import annotations

import copy
import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

from prunetui.files.safe_toml import NotToml, read_toml

Path = tuple[str | int, ...]
ORDER = ("name", "kind", "seeds", "sparsities", "target", "schedule")
BARE = re.compile(r"[A-Za-z0-9_-]+")
INLINE = ("schedule",)
"""Tables that are written on one line."""


class Draft:
    """What the user has set, by key path; what is not set is left to the defaults."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self.data: dict[str, Any] = copy.deepcopy(dict(data or {}))
        if "methods" in self.data and isinstance(self.data["methods"], list):
            self.data["methods"] = [{"name": m} if isinstance(m, str) else m for m in self.data["methods"]]

    @classmethod
    def read(cls, text: str) -> Draft:
        """The draft in a TOML text.

        Raises:
            ValueError: it is not TOML.
        """
        return cls(read_toml(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draft) and other.toml() == self.toml()

    __hash__ = None  # type: ignore[assignment]

    def get(self, path: Path) -> Any:
        """What is set at ``path``; None where nothing is."""
        found: Any = self.data
        for part in path:
            if isinstance(found, str):  # perhaps the short form of a table with a name
                return found if part == "name" else None
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    def set(self, path: Path, value: Any) -> None:
        """Set what is at ``path``; None takes it away, and with it a table that is then empty."""
        if value is None:
            self._unset(path)
            return
        table: Any = self.data
        for i, part in enumerate(path[:-1]):
            inner = table[part] if isinstance(table, list) else table.get(part)  # type: ignore[index]
            if isinstance(inner, str):  # "iterative" -> { name = "iterative" }
                inner = table[part] = {"name": inner}
            if not isinstance(inner, dict | list):
                inner = table[part] = {}
            if isinstance(inner, list) and not isinstance(path[i + 1], int):
                inner = table[part] = {}
            table = inner
        table[path[-1]] = value

    def _unset(self, path: Path) -> None:
        table = self.get(path[:-1])
        if isinstance(table, str) and path[-1] == "name":
            self._unset(path[:-1])
        elif isinstance(table, dict):
            table.pop(str(path[-1]), None)
            if not table and len(path) > 1 and not isinstance(path[-2], int):
                self._unset(path[:-1])

    # Methods --------------------------------------------------------------------------------------

    @property
    def methods(self) -> list[dict[str, Any]]:
        """The tables of methods that can be read as such."""
        given = self.data.get("methods")
        return [m for m in given if isinstance(m, dict)] if isinstance(given, list) else []

    def places(self, name: str) -> list[int]:
        """Where a method stands in the list of methods."""
        given = self.data.get("methods")
        tables = given if isinstance(given, list) else []
        return [i for i, m in enumerate(tables) if isinstance(m, dict) and m.get("name") == name]

    def add_method(self, table: Mapping[str, Any]) -> int:
        """Put a method at the end; returns its place."""
        if not isinstance(self.data.get("methods"), list):
            self.data["methods"] = []
        self.data["methods"].append(dict(table))
        return len(self.data["methods"]) - 1

    def remove_method(self, place: int) -> dict[str, Any]:
        """Take a method out; returns what was set of it."""
        table: dict[str, Any] = self.data["methods"].pop(place)
        return table

    # TOML -----------------------------------------------------------------------------------------

    def toml(self) -> str:
        """The draft as TOML: plain keys first, then tables, then methods."""
        tables = {k: v for k, v in self.data.items() if isinstance(v, dict) and k not in INLINE}
        plain = {k: v for k, v in self.data.items() if k not in tables and not _is_array_of_tables(v)}
        order = {key: i for i, key in enumerate(ORDER)}
        lines = [_line(k, plain[k]) for k in sorted(plain, key=lambda k: order.get(k, len(ORDER)))]
        for name, table in tables.items():
            lines += ["", f"[{_key(name)}]", *(_line(k, v) for k, v in table.items())]
        for name, array in self.data.items():
            for table in array if _is_array_of_tables(array) else []:
                lines += ["", f"[[{_key(name)}]]", *(_line(k, v) for k, v in table.items())]
        return "\n".join(lines).strip() + "\n"


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _string(key)


def _line(key: str, value: object) -> str:
    if key in INLINE and isinstance(value, dict) and list(value) == ["name"]:
        value = value["name"]
    return f"{_key(key)} = {toml_value(value)}"


def toml_value(value: object) -> str:
    """A value on one line, as TOML."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(str(k))} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)  # numbers; inf and nan too are TOML


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# What is typed into a field -----------------------------------------------------------------------

OPEN, CLOSE = "[{", "]}"
SPECIAL = frozenset("[]{}\"',")


def split_items(text: str) -> list[str]:
    """``1, [2, 3], "a,b"`` -> three items: commas within brackets and quotes do not count."""
    items, depth, quote, start, escaped = [], 0, "", 0, False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote == '"' and char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in OPEN:
            depth += 1
        elif char in CLOSE:
            depth -= 1
        elif char == "," and depth == 0:
            items.append(text[start:i])
            start = i + 1
    items.append(text[start:])
    return [item.strip() for item in items if item.strip()]


def typed_value(text: str) -> Any:
    """A number, a boolean, a list or a table as TOML writes it; what is no TOML is a bare string."""
    text = text.strip()
    try:
        found = read_toml(f"value = {text}")
        return found["value"] if list(found) == ["value"] else text
    except NotToml:
        return text


def typed_list(text: str) -> list[Any]:
    """Items with commas between them, with or without brackets."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]") and len(split_items(text)) == 1:
        text = text[1:-1]
    return [typed_value(item) for item in split_items(text)]


def shown(value: object) -> str:
    """What a field shows for a value; typing it again gives the value."""
    if isinstance(value, str):
        if not value:
            return '""'
        plain = typed_value(value) == value and not set(value) & SPECIAL
        return value if plain else _string(value)
    if isinstance(value, list | tuple):
        if len(value) == 1 and isinstance(value[0], list | tuple):
            return toml_value(value)
        return ", ".join(shown(item) if isinstance(item, str) else toml_value(item) for item in value)
    return toml_value(value)
