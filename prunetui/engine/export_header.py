"""What a file says of itself: how its network is built, what images it takes and which classes it knows.

Whoever wrote the file chose these values, so each is checked before anything is built or shown from it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prunetui.config.method_tables import options_model
from prunetui.files.safe_json import read_json
from prunetui.formats.refused import shown
from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.installed import names_installed
from prunetui.plugins.libraries import library_of
from prunetui.plugins.own_files import names_own_file

FORMAT = "prunetui/1"
MOST_BYTES = 8 << 20
"""Of one value; the names of 100,000 classes take three."""
_RANGES = {"channels": 1024, "size": 4096, "classes": 100_000, "width": 4096}
DATA_SETTINGS = ("root", "limit", "validation", "size", "corrupt", "memory")
"""Keys of [data] that decide what examples there are; a network of prepared ones says those that were set."""
_MOST_TEXT = 4096
_MOST_OPTION = 65_536
"""Of whole numbers among the options of built-in models."""


def parse_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The header in the metadata of a .safetensors file, whose values are JSON; empty for files of others.

    Raises:
        ValueError: it is of another version of prunetui, or holds a value that cannot be.
    """
    version = metadata.get("format", "")
    if not version.startswith("prunetui/"):
        return {}
    if version != FORMAT:
        raise ValueError(f"it is of the format {shown(version)}; this version reads {FORMAT}")
    header: dict[str, Any] = {"format": version}
    for key, value in metadata.items():
        if key == "format":
            continue
        try:
            header[key] = _json(value)
        except ValueError as error:
            raise ValueError(f"its header {shown(key)}: {error}") from None
    check_header(header)
    return header


def parse_header(content: bytes | str) -> dict[str, Any]:
    """The header of a .pt2 or ONNX file, which is one JSON object.

    Raises:
        ValueError: it holds a value that cannot be.
    """
    try:
        header = _json(content)
    except ValueError as error:
        raise ValueError(f"its header: {error}") from None
    if not isinstance(header, dict):
        raise ValueError(f"its header is {shown(header)}, not an object")
    check_header(header)
    return header


def _json(content: bytes | str) -> Any:
    return read_json(content, most_bytes=MOST_BYTES, depth=8, finite=True)


def check_header(header: Mapping[str, Any]) -> None:
    """Check every value that prunetui reads from a header; others are left alone.

    Raises:
        ValueError: one cannot be; names it.
    """
    about, prepared = header.get("architecture"), header.get("prepared", False)
    if not isinstance(prepared, bool):
        raise ValueError(f"its prepared is {shown(prepared)}; allowed: true and false")
    if about is not None:
        _check_architecture(about, prepared)
    channels = about["channels"] if about else None
    for key in ("mean", "std"):
        if key in header:
            _check_numbers(key, header[key], channels)
    if "data" in header:
        _check_text("data", header["data"])
    options = header.get("data_options", {})
    if not isinstance(options, dict) or not all(map(str.isidentifier, options)):
        raise ValueError(f"its data_options are {shown(options)}; allowed: options by name")
    settings = header.get("data_settings", {})
    if not isinstance(settings, dict) or not settings.keys() <= {*DATA_SETTINGS}:
        raise ValueError(f"its data_settings are {shown(settings)}; allowed: {', '.join(DATA_SETTINGS)}")
    if header.get("classes") is not None:
        _check_classes(header["classes"], about["classes"] if about else None)


def _check_architecture(about: Any, prepared: bool) -> None:
    """Of a network of ``prepared`` examples, channels, size and classes need not be known."""
    if not isinstance(about, dict):
        raise ValueError(f"its architecture is {shown(about)}, not an object")
    known = {"name", "channels", "size", "classes", "shortcut", "width", "options", "digest", "package"}
    if missing := {"name", "channels", "size", "classes"} - set(about):
        raise ValueError(f"its architecture says no {min(missing)}")
    if unknown := set(about) - known:
        raise ValueError(f"its architecture says {shown(min(unknown))}, which this version does not know")
    _check_factory(about)
    for key, most in _RANGES.items():
        value = about.get(key)
        if value is None and (prepared or key == "width"):
            continue
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"its architecture has {key} = {shown(value)}; allowed: 1 to {most:,}")


def _check_factory(about: Mapping[str, Any]) -> None:
    """A built-in model is called by its name; of any other the file says whose code it was, too."""
    name, names, digest = about["name"], catalogue("model").found, about.get("digest")
    referred = names_own_file(name) or names_installed(name)
    if not isinstance(name, str) or (name not in list(names) and not (referred and digest)):
        raise ValueError(f"its architecture is called {shown(name)}; there are: {', '.join(sorted(names))}")
    if referred:
        _check_text("architecture", name)
    if "package" in about:
        _check_text("package", about["package"])
    if digest is not None and not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{16}", digest)):
        raise ValueError(f"its architecture has the digest {shown(digest)}; one has 16 hexadecimal digits")
    if about.get("shortcut", "B") not in (("A", "B") if digest is None else ("A", "B", None)):
        raise ValueError(f"its architecture has the shortcut {shown(about['shortcut'])}; there are A and B")
    options = about.get("options", {})
    if not isinstance(options, dict) or (digest is None and not _has_options(name, options)):
        raise ValueError(f"its architecture has the options {shown(options)}, which {name} does not take")
    library = library_of(name)
    for key, value in options.items() if library else ():
        if library and (wrong := library.wrong_option(key, value)):
            raise ValueError(f"its architecture has the option {shown(key)}: {wrong}")


def _has_options(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a built-in model takes options of these names and values."""
    try:
        options_model(catalogue("model").found[name]).model_validate(options)
    except ValidationError:
        return False
    return all(type(value) is not int or value <= _MOST_OPTION for value in options.values())


def _check_numbers(key: str, values: Any, channels: int | None) -> None:
    good = isinstance(values, list) and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    if not good or not values or any(abs(value) > 1e6 or (key == "std" and value < 1e-6) for value in values):
        raise ValueError(f"its {key} is {shown(values)}; allowed: a list of {_numbers(key)}")
    if channels is not None and len(values) != channels:
        raise ValueError(f"its {key} has {len(values)} values for images of {channels} channels")


def _numbers(key: str) -> str:
    return "numbers from 0.000001 to 1,000,000" if key == "std" else "numbers up to 1,000,000"


def _check_text(key: str, value: Any) -> None:
    if not isinstance(value, str) or not value or len(value) > _MOST_TEXT or not value.isprintable():
        raise ValueError(f"its {key} is {shown(value)}; allowed: a text without control characters")


def _check_classes(values: Any, wanted: int | None) -> None:
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"its classes are {shown(values)}; allowed: a list of names")
    if wanted is not None and len(values) != wanted:
        raise ValueError(f"it names {len(values)} classes, its architecture has {wanted}")
    for name in values:
        _check_text("class", name)
    counts = Counter(unicodedata.normalize("NFC", name) for name in values)  # as images are matched with them
    if twice := [name for name, count in counts.items() if count > 1]:
        more = f" and {len(twice) - 1} more names" if len(twice) > 1 else ""
        raise ValueError(f"it names the class {shown(twice[0])} {counts[twice[0]]} times{more}; each has one name")
