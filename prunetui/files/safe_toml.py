"""TOML from elsewhere: read with limits, so that no text can exhaust the parser or what follows it."""

from __future__ import annotations

import re
from typing import Any

import tomli

MOST_BYTES = 4 << 20
"""Of a text; the resolved study of 100,000 trials of as many settings as one can have takes 2 MB."""
DEPTH = 32
"""Of values within values."""
PARTS = 32
"""Of a key with dots."""
LARGEST = 2**63
"""TOML's integers have 64 bits; Python refuses to print those of more than 4,300 digits."""
LONG_NUMBER = re.compile(r"(?<![\w\"'])[+-]?\d[\d_]{400,}")


class NotToml(ValueError):
    """A text that is no TOML (``is_syntax``), or more than is read; ``line`` is 0 where it is not known."""

    def __init__(self, message: str, line: int = 0, is_syntax: bool = False) -> None:
        self.line, self.is_syntax = line, is_syntax
        super().__init__(message)


def read_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text; a byte-order mark before it is no part of it.

    Raises:
        NotToml: with what is wrong, in a line.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MOST_BYTES:
        raise NotToml(f"it has {len(text):,} characters; at most {MOST_BYTES:,} are read")
    try:
        found = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        last = text.count("\n", 0, len(text.rstrip())) + 1  # "at end of document"
        raise NotToml(f"not valid TOML: {error}", int(line[1]) if line else last, is_syntax=True) from None
    except RecursionError:
        raise NotToml(f"it is nested more than {DEPTH} deep, or has a key of more than {PARTS} parts") from None
    except ValueError:  # Python's limit on the digits of an integer
        number = LONG_NUMBER.search(text)
        line_number = text.count("\n", 0, number.start()) + 1 if number else 0
        raise NotToml("it holds an integer of more than 64 bits", line_number) from None
    _check(found)
    return found


def _check(table: dict[str, Any]) -> None:
    """Nothing too deep to walk through, no number too long to print."""
    waiting: list[tuple[Any, int]] = [(table, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH:
            raise NotToml(f"it is nested more than {DEPTH} deep")
        if isinstance(value, dict):
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, int) and not -LARGEST <= value < LARGEST:
            raise NotToml("it holds an integer of more than 64 bits")
