"""On which line of a TOML text a key stands: tomli does not say, an error report must.

A light scan, not a parser: it runs on text that tomli has already accepted.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
STRING = re.compile(r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"""|\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*')


def key_lines(text: str) -> dict[Path, int]:
    """Map every key path and table of ``text`` to its 1-based line."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    depth, fence = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if fence or depth > 0:
            depth, fence = _nesting(line, depth, fence)
            continue
        header = HEADER.match(line)
        if header:
            table = _table(header, counts, lines, number)
            lines.setdefault(table, number)
            continue
        key = KEY.match(line)
        if key:
            lines.setdefault(table + _parts(key[1]), number)
            depth, fence = _nesting(line[key.end() :], 0, "")
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest table or key that contains it; 0 when there is none."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 0


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in PART.findall(dotted))


def _table(header: re.Match[str], counts: dict[Path, int], lines: dict[Path, int], number: int) -> Path:
    """The path a header opens; inside an array of tables it is that of the newest element."""
    path: Path = ()
    parts = _parts(header[2])
    for i, part in enumerate(parts):
        path = (*path, part)
        is_last = i == len(parts) - 1
        if header[1] == "[[" and is_last:
            counts[path] = counts.get(path, -1) + 1
            lines.setdefault(path, number)
        if path in counts:
            path = (*path, counts[path])
    return path


def _nesting(rest: str, depth: int, fence: str) -> tuple[int, str]:
    """Bracket depth and open triple quote after ``rest`` of a value."""
    if fence:
        _, found, rest = rest.partition(fence)
        if not found:
            return depth, fence
    bare = STRING.sub(lambda m: m[0] if m[0] in ('"""', "'''") else "", rest)
    for quote in ('"""', "'''"):
        if bare.count(quote) % 2:
            return depth, quote
    return depth + bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}"), ""
