"""JSON from elsewhere: read with limits, so that no text can exhaust the parser or what follows."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_BYTES = 16 << 20
DEPTH = 64
DIGITS = 20
"""Of an integer: every 64-bit number has at most 20, and Python refuses to print those of more than 4,300."""
FLOAT_CHARACTERS = 400
"""Of a number with a fraction or an exponent; the longest that a float64 needs, written out, has 326."""

# A string as a whole (so that brackets inside it do not count), or one bracket.
_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(
    data: bytes | str,
    *,
    most_bytes: int = MOST_BYTES,
    depth: int = DEPTH,
    digits: int = DIGITS,
    finite: bool = False,
) -> Any:
    """The value of a JSON text; its shape is for the caller to check.

    ``depth`` counts the lists and objects around the innermost value. With ``finite``, NaN and infinities are refused
    (Python writes and reads them, though JSON has none).

    Raises:
        ValueError: it is too large or too deep, holds a number that is too long or text that is no Unicode, or is no
            JSON. Says which, in a line.
    """
    if len(data) > most_bytes:
        raise ValueError(f"its JSON has {len(data):,} bytes; at most {most_bytes:,} are read")
    try:
        text = data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError:
        raise ValueError("its JSON is not UTF-8 text") from None
    deepest = _depth(text, depth)
    if deepest > depth:
        raise ValueError(f"its JSON is nested more than {depth} deep")
    try:
        value = json.loads(
            text,
            parse_int=lambda number: _integer(number, digits),
            parse_float=lambda number: _float(number, finite),
            parse_constant=lambda name: _constant(name, finite),
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    if _SURROGATE.search(text):
        _check_unicode(value)
    return value


def _depth(text: str, enough: int) -> int:
    """How deep lists and objects are nested; counting ends once it is more than ``enough``."""
    if text.count("[") + text.count("{") <= enough:  # the usual case, at the speed of memory
        return 0
    now = most = 0
    for token in _TOKENS.finditer(text):
        first = token.group()[0]
        if first in "[{":
            now += 1
            most = max(most, now)
            if most > enough:
                break
        elif first in "]}":
            now -= 1
    return most


def _integer(number: str, digits: int) -> int:
    if len(number.lstrip("-")) > digits:
        raise ValueError(f"its JSON holds an integer of {len(number.lstrip('-')):,} digits; at most {digits} are read")
    return int(number)


def _float(number: str, finite: bool) -> float:
    if len(number) > FLOAT_CHARACTERS:
        raise ValueError(f"its JSON holds a number of {len(number):,} characters; at most {FLOAT_CHARACTERS} are read")
    value = float(number)
    if finite and not math.isfinite(value):
        raise ValueError(f"its JSON holds the number {number[:40]}, which is beyond float64")
    return value


def _constant(name: str, finite: bool) -> float:
    if finite:
        raise ValueError(f"its JSON holds {name}, which is no number")
    return float(name)


def _check_unicode(value: Any) -> None:
    """Escapes can spell halves of characters, which no file or terminal takes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("its JSON holds half of a Unicode character") from None
