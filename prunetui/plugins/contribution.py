"""What can be known of a contribution without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prunetui.plugins.option import Option

Origin = Literal["built-in", "package", "file", "installed"]
"""Part of prunetui, announced by an installed package, in a user's file, or of an installed package that announces
nothing; a study names the last two by where they are."""


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """One method, model, data set, task, runtime, executor or tracker."""

    kind: str
    name: str
    summary: str
    doc: str
    source: str
    """Where it comes from: a paper, an address."""
    options: tuple[Option, ...]
    takes: frozenset[str]
    """Which of the values that the program supplies to this kind it asks for."""
    given: Mapping[str, Any] = field(hash=False)
    """What its decorator says besides its name and source."""
    symbol: str
    """The function or class in its module."""
    module: str
    file: Path
    digest: str
    """Of the file's content."""
    origin: Origin
    takes_more: bool = False
    """Whether it may take options that its source does not tell."""
