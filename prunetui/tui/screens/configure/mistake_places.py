"""Where a mistake is, as a dotted path, and what it is, in words."""

from __future__ import annotations

from prunetui.errors import Mistake
from prunetui.tui.screens.configure.study_draft import Path


def dotted(path: Path) -> str:
    """``("methods", 0, "scope")`` -> ``methods[0].scope``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def contains(outer: str, inner: str) -> bool:
    """Whether a dotted path is another or leads to it."""
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def in_words(mistake: Mistake) -> str:
    """What is wrong, what was got, what is allowed; without the place."""
    got = f"; got {mistake.got}" if mistake.got else ""
    allowed = f"; allowed: {mistake.allowed}" if mistake.allowed else ""
    nearest = f"; did you mean {mistake.nearest}?" if mistake.nearest else ""
    return f"{mistake.message}{got}{nearest or allowed}"
