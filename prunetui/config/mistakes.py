"""pydantic's errors, told as mistakes: where, what was got, what is allowed, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from prunetui.errors import Mistake

CLOSE = 0.5
# Parts of a location that pydantic adds for unions and that no user wrote.
INTERNAL = {"options", "one-shot", "iterative", "Statistics", "float", "int", "str"}


def nearest(name: object, among: Iterable[str]) -> str:
    """The most similar name, quoted, or an empty string when none is close; a common beginning breaks ties."""
    text = str(name)

    def similarity(other: str) -> tuple[float, int]:
        matcher = difflib.SequenceMatcher(None, text, other)
        first = matcher.get_matching_blocks()[0]
        return matcher.ratio(), first.size if first.a == first.b == 0 else 0

    best = max(among, key=similarity, default="")
    return f'"{best}"' if best and similarity(best)[0] >= CLOSE else ""


def from_pydantic(
    error: ValidationError, model: type[BaseModel], prefix: tuple[str | int, ...] = ()
) -> list[tuple[tuple[str | int, ...], Mistake]]:
    """One ``(key path, mistake)`` for each place that is wrong; file and line are added by the caller."""
    found: dict[tuple[str | int, ...], Mistake] = {}
    for item in error.errors(include_url=False):
        path = prefix + tuple(part for part in item["loc"] if not _is_internal(part))
        if path not in found:  # a union reports each alternative: the first is the most telling
            found[path] = _mistake(path, item, model)
    return list(found.items())


def dotted(path: tuple[str | int, ...]) -> str:
    """``("methods", 0, "name")`` -> ``methods[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _is_internal(part: str | int) -> bool:
    return isinstance(part, str) and (part in INTERNAL or "[" in part or "(" in part)


def _mistake(path: tuple[str | int, ...], item: Any, model: type[BaseModel]) -> Mistake:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    got = _shown(value)
    if kind == "extra_forbidden":
        names = _fields_at(model, item["loc"][:-1])
        return Mistake(dotted(path), "unknown key", got, ", ".join(names), nearest(path[-1], names))
    if kind in ("literal_error", "union_tag_invalid"):
        expected = str(context.get("expected") or context.get("expected_tags", "")).replace(" or ", ", ")
        names = [name.strip().strip("'") for name in expected.split(",")]
        # A schedule's short form is checked by its name; show what the user wrote.
        wrong = value.get("name", value) if kind == "union_tag_invalid" and isinstance(value, dict) else value
        return Mistake(dotted(path), "not a valid choice", _shown(wrong), ", ".join(names), nearest(wrong, names))
    if kind == "missing":
        return Mistake(dotted(path), "is required")
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Mistake(dotted(path), message[:1].lower() + message[1:], got)


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Names of the keys allowed in the table at ``loc``."""
    current: Any = model
    for part in loc:
        if isinstance(part, int) or (part in INTERNAL and part != "options"):
            current = _variant(current, part)
            continue
        field = getattr(current, "model_fields", {}).get(part)
        current = field.annotation if field else None
    return sorted(getattr(_variant(current, None), "model_fields", {}))


def _variant(annotation: Any, tag: str | int | None) -> Any:
    """The table class inside a tuple, an optional or a union (picked by its tag)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    candidates = [_variant(inner, tag) for inner in getattr(annotation, "__args__", ())]
    tables = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    named = [c for c in tables if "name" in c.model_fields and c.model_fields["name"].default == tag]
    return next(iter(named or tables), None)
