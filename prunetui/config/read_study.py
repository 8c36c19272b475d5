"""Read a study: file, overrides, validation. Every mistake is reported, not only the first."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prunetui.config.checks import Located, semantic_mistakes
from prunetui.config.locate import key_lines, line_of
from prunetui.config.method_tables import method_tables
from prunetui.config.mistakes import from_pydantic, nearest
from prunetui.config.named import located as locate_own_files
from prunetui.config.option_checks import OF_NAME
from prunetui.config.overrides import OVERRIDES, KeyPath, apply_overrides
from prunetui.config.schema import Study
from prunetui.errors import ConfigError, Mistake, UsageError
from prunetui.files.paths import exists, is_dir, is_file, user_path
from prunetui.files.regular import read_regular
from prunetui.files.safe_toml import MOST_BYTES, NotToml, read_toml
from prunetui.plugins.catalogue import is_reference

PRESET = "preset "
ROOT = ("data", "root")
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
        other = "it is a folder" if is_dir(path) else "it is no regular file" if exists(path) else ""
        there = other or "it is neither a file nor a preset"
        raise UsageError(
            f"no study at {given}: {there}; presets: {', '.join(names)}" + (f"; did you mean {hint}?" if hint else "")
        )
    return _text_of(path, given), given


def _text_of(path: Path, given: str) -> str:
    """The text of a regular file, of which no more is read than a study may have."""
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read the study {given}: {error.strerror}") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start} is 0x{data[error.start]:02x}"
        raise UsageError(f"cannot read the study {given}: it is not UTF-8 text ({wrong})") from None


def load_study(given: str, overrides: Sequence[str] = ()) -> Study:
    """Read the study in a file or preset, with ``key.path=VALUE`` overrides on top."""
    text, name = find_study(given)
    return parse_study(text, overrides, name, preset=name.startswith(PRESET))


def parse_study(text: str, overrides: Sequence[str] = (), file: str = "study", preset: bool = False) -> Study:
    """Validate the TOML ``text`` of a study.

    The user's own files that it names are looked for from the folder of ``file`` on, those in overrides from here on.
    What a ``preset`` says of its network gives way to a checkpoint, or to a model of the user's, that is named on top,
    and the folder of images that it names need not be there.

    Raises:
        ConfigError: with all mistakes, each with its file, line, key path and what is allowed.
    """
    try:
        raw = read_toml(text)
    except NotToml as error:
        raise ConfigError([Mistake("", str(error), file=file, line=error.line)]) from None
    locate_own_files(raw, user_path(file).parent)
    overridden, located = apply_overrides(raw, overrides)
    locate_own_files(raw, Path())
    if preset:
        _follow_model(raw, overridden)
    study, found = _validate(raw)
    if preset and not overridden & {ROOT, ROOT[:1]}:  # who takes a preset has yet to say where the images are
        found = [(path, mistake) for path, mistake in found if path != ROOT]
    if located := located + found:
        lines = key_lines(text.removeprefix("\ufeff"))
        raise ConfigError(_with_place(path, m, file, lines, overridden) for path, m in located)
    assert study is not None
    return study


def _with_place(path: KeyPath, mistake: Mistake, file: str, lines: dict[Any, int], overridden: set[Any]) -> Mistake:
    blamed = any(path[: len(over)] == over or (over[: len(path)] == path and path not in lines) for over in overridden)
    if blamed or mistake.file:
        return Mistake(**{**vars(mistake), "file": OVERRIDES, "line": 0})
    return Mistake(**{**vars(mistake), "file": file, "line": line_of(lines, path)})


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


def _without(raw: dict[str, Any], paths: Sequence[KeyPath]) -> tuple[dict[str, Any], list[int]]:
    """The study without its malformed keys, unknown methods and parts, and the place each remaining method had."""
    rest = _tables_without(raw, paths)
    methods = _methods_without(raw.get("methods"), paths)
    return ({**rest, "methods": list(methods.values())} if methods else rest), list(methods)


def _tables_without(raw: dict[str, Any], paths: Sequence[KeyPath]) -> dict[str, Any]:
    """All but the methods; with the name of a model or data set go the keys that only make sense for it."""
    bad = {path[:2] if isinstance(raw.get(str(path[0])), dict) else path[:1] for path in paths if path}
    bad |= {(path[0], key) for path in bad if path[1:] == ("name",) for key in OF_NAME}
    kept = {key: value for key, value in raw.items() if (key,) not in bad and key != "methods"}
    for table, content in kept.items():
        if isinstance(content, dict):
            kept[table] = {key: value for key, value in content.items() if (table, key) not in bad}
    return kept


def _methods_without(methods: Any, paths: Sequence[KeyPath]) -> dict[int, dict[str, Any]]:
    """The methods that can be told, by their places, without the keys that are wrong in them."""
    wrong: dict[Any, set[Any]] = {}
    for path in paths:
        if path[:1] == ("methods",) and len(path) > 1:
            wrong.setdefault(path[1], set()).add(path[2] if len(path) > 2 else "name")
    kept = {}
    for place, table in enumerate(methods if isinstance(methods, list) else []):
        if isinstance(table, dict) and not wrong.get(place, set()) & {"name", "parts"}:  # a hybrid is its parts
            kept[place] = {key: value for key, value in table.items() if key not in wrong.get(place, ())}
    return kept


def _mistakes_of_rest(rest: dict[str, Any], index: list[int]) -> list[Located]:
    try:
        return semantic_mistakes(Study.model_validate(rest), index)
    except ValidationError:  # what is left does not stand alone; its mistakes are already in the report
        return []


def _follow_model(raw: dict[str, Any], overridden: set[KeyPath]) -> None:
    """Forget how a preset would make its dense network where a checkpoint, or the user's own model, is to be it.

    What is asked for stays.
    """
    model = raw.get("model")
    if not isinstance(model, dict):
        return
    own = [place for place in DENSE if place[0] == "model"] if is_reference("model", model.get("name")) else []
    for table, key in DENSE if model.get("checkpoint") else own:
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
