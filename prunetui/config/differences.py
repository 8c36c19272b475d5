"""The settings in which studies differ, as a table; what all share is not shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_SETTINGS = ("name", "label", "methods")
"""Names stand above the columns; methods are compared one by one."""


def differences(studies: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[str, ...]]]:
    """(setting, its value in each study) where they are not all the same; a dash for what a study lacks.

    A method that only some studies have is one difference, not one for each of its options.
    """
    methods = [_methods(study.get("methods")) for study in studies]
    general = [
        {**flattened({k: v for k, v in study.items() if k not in NOT_SETTINGS}), "methods": _counted(of)}
        for study, of in zip(studies, methods, strict=True)
    ]
    found = _differing("", general)
    implied = set(found)  # what methods do not say themselves they take from the study
    for title in dict.fromkeys(title for of in methods for title in of):
        own = _differing("", [of.get(title) for of in methods])
        found += [(f"{title}: {key}", values) for key, values in own if (key, values) not in implied]
    return found


def _differing(before: str, of: Sequence[Mapping[str, str] | None]) -> list[tuple[str, tuple[str, ...]]]:
    """The keys whose values differ among those that are there at all."""
    there = [one for one in of if one is not None]
    keys = dict.fromkeys(key for one in there for key in one)
    differ = [key for key in keys if len({one.get(key, "-") for one in there}) > 1]
    return [(before + key, tuple((one or {}).get(key, "-") for one in of)) for key in differ]


def flattened(plain: Mapping[str, Any]) -> dict[str, str]:
    """``{"train": {"lr": 0.1}}`` -> ``{"train.lr": "0.1"}``."""
    flat: dict[str, str] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": text for inner, text in flattened(value).items()}
        else:
            flat[key] = _text(value)
    return flat


def _methods(methods: Any) -> dict[str, dict[str, str]]:
    """Settings by what a method is called; the second of a name is ``name #2``."""
    found: dict[str, dict[str, str]] = {}
    for method in methods if isinstance(methods, list) else []:
        if not isinstance(method, Mapping):
            continue  # no resolved study
        name = str(method.get("label") or method.get("name"))
        again = sum(title == name or title.startswith(f"{name} #") for title in found)
        found[f"{name} #{again + 1}" if again else name] = flattened(
            {key: value for key, value in method.items() if key not in NOT_SETTINGS}
        )
    return found


def _counted(titles: Iterable[str]) -> str:
    """``taylor, taylor #2, random`` -> ``taylor x2, random``."""
    counts = Counter(title.partition(" #")[0] for title in titles)
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts.items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
