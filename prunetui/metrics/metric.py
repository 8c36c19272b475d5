"""A figure as data: its key, title, unit, direction and format. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower"]
HIGHER: Direction = "higher"
LOWER: Direction = "lower"
SIZE = "size"
"""The format of counts, which are shown as 11.17M."""
KEY = re.compile("[a-z][a-z0-9_]{0,39}")
WORDS = re.compile(r"[\w .,:;%/()@+*^'=-]*")
"""Titles and units: what is neither markup in a terminal nor in a page. They are read from files of others, too."""
LONGEST_TITLE, LONGEST = 40, 200
"""Letters of a title, and of a sentence."""
DECIMALS = re.compile(r"\.(\d)f")
MORE_DIGITS = 2
"""Digits that a file keeps beyond those that are shown."""


@dataclass(frozen=True)
class Metric:
    """A figure: what it is called, and which values of it are better.

    Raises:
        ValueError: a field holds something else than it should.
    """

    key: str
    """Its column in results.csv: lower-case letters, digits and underscores."""
    title: str
    unit: str = ""
    """As it is shown behind a value; ``%`` for what is in percent."""
    direction: Direction = HIGHER
    """Whether higher or lower values are better."""
    format: str = ".2f"
    """Decimals that are shown, as ``.2f``; or ``size`` for counts."""
    noun: str = ""
    """A plainer word for it, where the title of a pane needs one; the title when empty."""
    about: str = ""
    """What it is, in a sentence without a full stop, for the glossary of a report."""
    averaged: bool = True
    """Whether tables have its mean over seeds; otherwise only the page of a trial shows it."""
    on_axes: bool = True
    """Whether it is offered as an axis of charts."""
    in_tables: bool = True
    """Whether tables and reports have a column of it beside those of the primary metric."""

    def __post_init__(self) -> None:
        if not KEY.fullmatch(self.key):
            raise ValueError(
                f"the key of a metric is {self.key[:40]!r}; it may have lower-case letters, digits and underscores, "
                "and begins with a letter"
            )
        for name, words in (("title", self.title), ("unit", self.unit), ("noun", self.noun), ("about", self.about)):
            most = LONGEST if name == "about" else LONGEST_TITLE
            if not WORDS.fullmatch(words) or len(words) > most or (name == "title" and not words.strip()):
                raise ValueError(
                    f"the {name} of the metric {self.key} is {words[:40]!r}; it may have {most} letters, digits, "
                    "spaces and the characters .,:;%/()@+*^'=-"
                )
        if self.direction not in (HIGHER, LOWER):
            raise ValueError(f"the direction of the metric {self.key} is {self.direction!r}, not higher or lower")
        if self.format != SIZE and not DECIMALS.fullmatch(self.format):
            raise ValueError(f"the format of the metric {self.key} is {self.format[:20]!r}; write .2f, .4f or size")

    @property
    def higher_is_better(self) -> bool:
        return self.direction == HIGHER

    @property
    def is_percent(self) -> bool:
        return self.unit == "%"

    @property
    def digits(self) -> int:
        """Decimals that are shown."""
        found = DECIMALS.fullmatch(self.format)
        return int(found[1]) if found else 0

    @property
    def least_seen(self) -> float:
        """The least difference that is seen in what is shown."""
        return 0.5 * 10.0**-self.digits

    @property
    def decimals(self) -> int:
        """Decimals that a file of results keeps."""
        return self.digits + MORE_DIGITS

    @property
    def suffix(self) -> str:
        """What stands behind a value: `` %``; nothing where there is no unit."""
        return f" {self.unit}" if self.unit else ""

    def titled(self, between: str = ", ") -> str:
        """Title and unit, for what stands above or beside values without a unit: ``top-1, %``."""
        return f"{self.title}{between}{self.unit}" if self.unit else self.title

    def number(self, value: float) -> str:
        """A value without its unit."""
        return f"{value:.{self.digits}f}"

    def text(self, value: float) -> str:
        """A value with its unit."""
        return self.number(value) + self.suffix

    def rounded(self, value: float | None) -> float | None:
        """A value as a file of results keeps it."""
        return None if value is None else round(value, self.decimals)

    def goodness(self, value: float) -> float:
        """What is larger the better a value is."""
        return value if self.higher_is_better else -value

    def best(self, values: Iterable[float]) -> float | None:
        """The best of some values; None of none."""
        return max(values, key=self.goodness, default=None)

    def lost(self, reference: float, value: float) -> float:
        """By how much a value is worse than another one; negative where it is better."""
        return self.goodness(reference) - self.goodness(value)
