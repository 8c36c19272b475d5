"""What differs from machine to machine and from day to day, replaced by words in angle brackets."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunetui import __version__

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BOX = re.compile("[\u2500-\u257f]")
TYPE = re.compile(r" <[a-z\[\]]+> ")
USAGE = re.compile(r"^(Usage: prunetui(?: [a-z]+)?) .*", re.MULTILINE)


def normalised(text: str, folder: Path) -> str:
    """Text without the folder of the test, the version of prunetui and the name of this host."""
    for path in {str(folder.resolve()), str(folder)}:
        text = text.replace(path, "<folder>")
    text = text.replace(f'"host": "{socket.gethostname()}"', '"host": "<host>"')
    return text.replace(f"prunetui {__version__}", "prunetui <version>").replace(f"v{__version__}", "v<version>")


def without_pictures(page: str) -> str:
    """A page of HTML with each drawing replaced by a word: its lines are drawn by other libraries."""
    return re.sub(r"<svg\b.*?</svg>", "<svg/>", page, flags=re.DOTALL)


def words_of(text: str) -> str:
    """The words of a help page, line by line: boxes, colours, and how usage and types are written, are typer's own."""
    lines = (" ".join(TYPE.sub(" ", BOX.sub(" ", line)).split()) for line in ESCAPE.sub("", text).splitlines())
    return USAGE.sub(r"\1", "".join(f"{line}\n" for line in lines if line))


def rounded(text: str) -> str:
    """Text with numbers to ten digits: the last ones of means and p-values depend on the versions of libraries."""
    return re.sub(r"-?\d+\.\d{10,}(e-\d+)?", lambda found: f"{float(found[0]):.10g}", text)


def shape_of(value: Any) -> Any:
    """JSON with the kind of each value in its place; how long a list is, and of what, depends on the machine."""
    if isinstance(value, Mapping):
        return {key: shape_of(inner) for key, inner in value.items()}
    return type(value).__name__


def number(text: str, decimals: int) -> str:
    """``<number>`` for one with so many decimals at most; anything else as it is, so that it shows."""
    return "<number>" if re.fullmatch(rf"-?\d+\.\d{{1,{decimals}}}(e-\d\d)?", text) else text
