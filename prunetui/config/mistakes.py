"""pydantic's errors, told as mistakes: where, what was got, what is allowed, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from prunetui.config.named import UNKNOWN
from prunetui.errors import Mistake

CLOSE = 0.5
LONGEST_NAME = 80
HINTED = 100
"""Mistakes that get the nearest valid name: to find it takes a tenth of a millisecond a name."""
Path = tuple[str | int, ...]


def nearest(name: object, among: Iterable[str]) -> str:
    """The most similar name, quoted, or an empty string when none is close; a common beginning breaks ties."""
    text = str(name)
    if len(text) > LONGEST_NAME:
        return ""  # no name is as long, and to compare takes the square of it

    def similarity(other: str) -> tuple[float, int]:
        matcher = difflib.SequenceMatcher(None, text, other)
        first = matcher.get_matching_blocks()[0]
        return matcher.ratio(), first.size if first.a == first.b == 0 else 0

    best = max(among, key=similarity, default="")
    return f'"{best}"' if best and similarity(best)[0] >= CLOSE else ""


def from_pydantic(
    error: ValidationError, model: type[BaseModel], raw: object, prefix: Path = ()
) -> list[tuple[Path, Mistake]]:
    """One ``(key path, mistake)`` for each place that is wrong; file and line are added by the caller.

    ``raw`` is what was validated: it tells the keys a user wrote from the names pydantic gives to variants.
    """
    found: dict[Path, Mistake] = {}
    for item in error.errors(include_url=False):
        path = _written(item["loc"], raw, missing=item["type"] == "missing")
        if path not in found:  # a union reports each alternative: the first is the most telling
            found[path] = _mistake(prefix + path, item, model, _at(raw, path), with_hint=len(found) < HINTED)
    # What is wrong inside a list or table makes the whole wrong too; only the innermost is worth telling.
    around = {path[:length] for path in found for length in range(len(path))}
    inner = [path for path in found if path not in around]
    return [(prefix + path, found[path]) for path in inner]


def dotted(path: Path) -> str:
    """``("methods", 0, "name")`` -> ``methods[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _written(loc: Path, raw: object, missing: bool) -> Path:
    """The parts of pydantic's location that are keys or places of ``raw``."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        if isinstance(raw, dict) and part in raw:
            raw = raw[part]
        elif isinstance(raw, list) and isinstance(part, int):
            raw = raw[part] if part < len(raw) else None
        elif not (missing and i == len(loc) - 1) and not isinstance(part, int):
            continue  # the name of a variant
        path.append(part)
    return tuple(path)


def _at(raw: Any, path: Path) -> Any:
    """What the user wrote at ``path``; None where there is nothing."""
    for part in path:
        if isinstance(raw, dict):
            raw = raw.get(part)
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            return None
    return raw


def _mistake(path: Path, item: Any, model: type[BaseModel], written: object, with_hint: bool) -> Mistake:
    hint = nearest if with_hint else _no_hint
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    got = _shown(value if written is None else written)
    if kind == "extra_forbidden":
        names = _fields_at(model, item["loc"][:-1])
        return Mistake(dotted(path), "unknown key", got, ", ".join(names), hint(path[-1], names))
    if kind in ("literal_error", "union_tag_invalid"):
        expected = str(context.get("expected") or context.get("expected_tags", "")).replace(" or ", ", ")
        names = [name.strip().strip("'") for name in expected.split(",")]
        # A schedule's short form is checked by its name; show what the user wrote.
        wrong = value.get("name", value) if kind == "union_tag_invalid" and isinstance(value, dict) else value
        return Mistake(
            dotted(path),
            "not a valid choice",
            _shown(wrong),
            ", ".join(names),
            hint(wrong, names),
        )
    if kind == UNKNOWN:
        names = context.get("names", [])
        return Mistake(dotted(path), context.get("reason", item["msg"]), got, ", ".join(names), hint(value, names))
    if kind == "missing":
        return Mistake(dotted(path), "is required")
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Mistake(dotted(path), message[:1].lower() + message[1:], got)


def _no_hint(name: object, among: Iterable[str]) -> str:
    return ""


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields_at(model: type[BaseModel], loc: Path) -> list[str]:
    """Names of the keys allowed in the table at ``loc``."""
    current: Any = model
    for part in loc:
        fields = getattr(_variant(current, None), "model_fields", {})
        current = fields[part].annotation if part in fields else _variant(current, part)
    return sorted(getattr(_variant(current, None), "model_fields", {}))


def _variant(annotation: Any, tag: str | int | None) -> Any:
    """The table class inside a tuple, an optional or a union (picked by its tag)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    candidates = [_variant(inner, tag) for inner in getattr(annotation, "__args__", ())]
    tables = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    named = [c for c in tables if "name" in c.model_fields and c.model_fields["name"].default == tag]
    return next(iter(named or tables), None)
