"""``prunetui report``: which format, and where it goes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from prunetui.errors import DataError, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.files.paths import user_path
from prunetui.report.gather import Material, gather
from prunetui.results.summary import human
from prunetui.terminal.output import json_text, say

FORMATS = ("md", "html", "csv", "svg", "png", "json")
SUFFIXES = {".md": "md", ".markdown": "md", ".htm": "html", **{f".{name}": name for name in FORMATS}}
STDOUT = "md"
"""What is printed when neither a format nor a file is named."""


def make_report(root: Path, runs: Sequence[str], kind: str | None, output: Path | None) -> None:
    """Print the report of the runs, or write it to ``output`` and print its path.

    Raises:
        UsageError: no such run or format, or a file that cannot be written.
        DataError: none of the runs can be read, or there is nothing yet to draw.
    """
    kind = chosen(kind, output)
    material = gather(root, runs)
    for words in material.troubles:
        say(f"note: {words}", err=True)
    content = made(material, kind)
    if output is None:
        _print(content)
    else:
        _write(user_path(output), content)


def chosen(kind: str | None, output: Path | None) -> str:
    """The format: as named, else by the end of the file's name, else Markdown.

    Raises:
        UsageError: there is no such format, or the name of the file tells none.
    """
    if kind is not None:
        if kind not in FORMATS:
            raise UsageError(f"there is no format {kind!r}; there are: {', '.join(FORMATS)}")
        return kind
    if output is None:
        return STDOUT
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output.name} does not tell the format; add --format with one of: {', '.join(FORMATS)}")
    return SUFFIXES[output.suffix.lower()]


def made(material: Material, kind: str) -> bytes:
    """The report in one of ``FORMATS``."""
    with warnings.catch_warnings():
        # Fonts of the reader's machine write what matplotlib's lack: labels are text in the drawings.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        return _drawn(material, kind) if kind in ("svg", "png") else _written(material, kind).encode(errors="replace")


def _written(material: Material, kind: str) -> str:
    if kind == "html":
        from prunetui.report.page import page

        return page(material)
    if kind == "md":
        from prunetui.report.text import markdown

        return markdown(material)
    from prunetui.report.plain import csv_rows, plain

    return csv_rows(material) if kind == "csv" else json_text(plain(material)) + "\n"


def _drawn(material: Material, kind: str) -> bytes:
    from prunetui.report.charts import main_picture, y_labels
    from prunetui.results.figure import figure_bytes

    picture = main_picture(material.lines, material.metrics)
    if picture.bounds() is None:
        raise DataError(f"there is nothing to draw of {material.title}: no trial of a method was done")
    label = y_labels(material.metrics)[material.metrics.primary.key]
    return figure_bytes(picture, material.title, label, "svg" if kind == "svg" else "png")


def _print(content: bytes) -> None:
    if content.startswith(b"\x89PNG") and sys.stdout.isatty():
        raise UsageError("a PNG is nothing for a terminal; name a file with -o")
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    say(f"wrote {human(len(content))}B", err=True)
    say(path)
