"""Read a study: file, overrides, validation. Every mistake is reported, not only the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from typing import Any

import tomli
from pydantic import ValidationError

from prunetui.config.checks import Located, semantic_mistakes
from prunetui.config.locate import key_lines, line_of
from prunetui.config.method_tables import method_tables
from prunetui.config.mistakes import from_pydantic, nearest
from prunetui.config.schema import Study
from prunetui.errors import ConfigError, Mistake, UsageError
from prunetui.paths import is_file, user_path

OVERRIDES = "--set"
PRESET = "preset "
DENSE = (("train", "epochs"), ("model", "width"), ("model", "shortcut"))
"""What a study says of a dense network that it trains itself; a checkpoint has its own."""


def preset_names() -> list[str]:
    """Names of the packaged studies."""
    folder = resources.files("prunetui") / "presets"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """The TOML of a packaged study."""
    return (resources.files("prunetui") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """What a packaged study asks: the first line of its comment. The others are for those who read it."""
    return preset_text(name).partition("\n")[0].lstrip("# ")


def find_study(given: str) -> tuple[str, str]:
    """``(text, name for reports)`` of a study file or preset.

    Raises:
        UsageError: neither a file nor a preset has this name, or the file cannot be read.
    """
    path = user_path(given)
    names = preset_names()
    if given in names and not is_file(path):
        return preset_text(given), f"{PRESET}{given}"
    if not is_file(path):
        hint = nearest(given, names)
        raise UsageError(
            f"no study at {given}: it is neither a file nor a preset; presets: {', '.join(names)}"
            + (f"; did you mean {hint}?" if hint else "")
        )
    try:
        return path.read_text(encoding="utf-8"), given
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the study {given}: {error}") from None


def load_study(given: str, overrides: Sequence[str] = ()) -> Study:
    """Read the study in a file or preset, with ``key.path=VALUE`` overrides on top."""
    text, name = find_study(given)
    return parse_study(text, overrides, name, preset=name.startswith(PRESET))


def parse_study(text: str, overrides: Sequence[str] = (), file: str = "study", preset: bool = False) -> Study:
    """Validate the TOML ``text`` of a study.

    What a ``preset`` says of the network it would train gives way to a checkpoint that is named on top of it.

    Raises:
        ConfigError: with all mistakes, each with its file, line, key path and what is allowed.
    """
    try:
        raw = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        last = text.count("\n", 0, len(text.rstrip())) + 1  # "at end of document"
        raise ConfigError(
            [Mistake("", f"not valid TOML: {error}", file=file, line=int(line[1]) if line else last)]
        ) from None
    lines = key_lines(text)
    overridden, located = _apply(raw, overrides)
    if preset:
        _follow_checkpoint(raw, overridden)
    study, found = _validate(raw)
    located += found
    if located:
        raise ConfigError(_with_place(path, m, file, lines, overridden) for path, m in located)
    assert study is not None
    return study


def _with_place(
    path: tuple[str | int, ...], mistake: Mistake, file: str, lines: dict[Any, int], overridden: set[Any]
) -> Mistake:
    blamed = any(path[: len(over)] == over or (over[: len(path)] == path and path not in lines) for over in overridden)
    if blamed or mistake.file:
        return Mistake(**{**vars(mistake), "file": OVERRIDES, "line": 0})
    return Mistake(**{**vars(mistake), "file": file, "line": line_of(lines, path)})


def _apply(raw: dict[str, Any], overrides: Sequence[str]) -> tuple[set[tuple[str | int, ...]], list[Located]]:
    """Write ``key.path=VALUE`` overrides into ``raw``; returns their paths and what is wrong with them."""
    paths: set[tuple[str | int, ...]] = set()
    mistakes: list[Located] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        parts = [part for part in re.split(r"[.\[]", key.replace("]", "")) if part]
        path = tuple(int(part) if part.isdecimal() else part for part in parts)
        if not equals or not path:
            mistakes.append(((), Mistake(key, "an override is written key.path=VALUE", override, file=OVERRIDES)))
        elif not _put(raw, path, _value(value)):
            mistakes.append((path, Mistake(key, "no such place in the study", override, file=OVERRIDES)))
        else:
            paths.add(path)
    return paths, mistakes


def _put(raw: Any, path: tuple[str | int, ...], value: Any) -> bool:
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
    """TOML value syntax; what is not valid TOML is a bare string."""
    try:
        return tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        return text.strip()


def _validate(raw: dict[str, Any]) -> tuple[Study | None, list[Located]]:
    """The study, or all that is wrong with it: what is malformed and what contradicts itself."""
    tables, mistakes = method_tables(raw.get("methods"))
    shaped = {**raw, "methods": tables} if "methods" in raw else dict(raw)
    _default_epochs(shaped)
    study = None
    try:
        study = Study.model_validate(shaped)
    except ValidationError as error:
        mistakes = from_pydantic(error, Study, shaped) + mistakes
    if study is None or mistakes:
        rest, index = _without(shaped, [path for path, _ in mistakes])
        return None, mistakes + _mistakes_of_rest(rest, index)
    return study, semantic_mistakes(study, range(len(study.methods)))


def _without(raw: dict[str, Any], paths: Sequence[tuple[str | int, ...]]) -> tuple[dict[str, Any], list[int]]:
    """The study without its malformed keys, unknown methods and parts, and the place each remaining method had."""
    bad = {path[:2] if isinstance(raw.get(str(path[0])), dict) else path[:1] for path in paths if path}
    rest = {key: value for key, value in raw.items() if (key,) not in bad and key != "methods"}
    for table, content in rest.items():
        if isinstance(content, dict):
            rest[table] = {key: value for key, value in content.items() if (table, key) not in bad}
    methods: dict[int, dict[str, Any]] = {}
    for i, given in enumerate(raw["methods"] if isinstance(raw.get("methods"), list) else []):
        wrong = {path[2] if len(path) > 2 else "name" for path in paths if path[:2] == ("methods", i)}
        if isinstance(given, dict) and not wrong & {"name", "parts"}:  # a hybrid is nothing without its parts
            methods[i] = {key: value for key, value in given.items() if key not in wrong}
    return ({**rest, "methods": list(methods.values())} if methods else rest), list(methods)


def _mistakes_of_rest(rest: dict[str, Any], index: list[int]) -> list[Located]:
    try:
        return semantic_mistakes(Study.model_validate(rest), index)
    except ValidationError:  # what is left does not stand alone; its mistakes are already in the report
        return []


def _follow_checkpoint(raw: dict[str, Any], overridden: set[tuple[str | int, ...]]) -> None:
    """Forget how a preset would make its dense network where a checkpoint is to be it; what is asked for stays."""
    model = raw.get("model")
    if not isinstance(model, dict) or not model.get("checkpoint"):
        return
    for table, key in DENSE:
        asked = (table,) in overridden or (table, key) in overridden
        if not asked and isinstance(raw.get(table), dict):
            raw[table].pop(key, None)


def _default_epochs(raw: dict[str, Any]) -> None:
    """Trainings that are off unless asked for: of a checkpoint, and after the edits of a sensitivity study.

    A checkpoint is already trained, and recovery would hide what a layer can bear.
    """
    if raw.get("kind") == "sensitivity" and isinstance(raw.get("finetune", {}), dict):
        raw["finetune"] = {"epochs": 0, **raw.get("finetune", {})}
    model, train = raw.get("model"), raw.get("train", {})
    if isinstance(model, dict) and model.get("checkpoint") and isinstance(train, dict):
        raw["train"] = {"epochs": 0, **train}
