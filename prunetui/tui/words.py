"""Numbers and times as screens show them."""

from __future__ import annotations

from rich.text import Text

from prunetui.terminal.printable import one_line

STATE_STYLES = {
    "running": "bold #56b4e9", "paused": "bold #e69f00", "queued": "#56b4e9", "waiting": "#8a93a0", "done": "#3fb68b",
    "failed": "bold #ff6b5e", "interrupted": "#e69f00", "died": "bold #ff6b5e", "unreadable": "#8a93a0",
}  # fmt: skip
STATE_MARKS = {
    "running": ">", "paused": "=", "queued": ".", "waiting": ".", "done": "+", "failed": "!", "interrupted": "-",
    "died": "x", "unreadable": "?",
}  # fmt: skip


def state_text(state: str) -> Text:
    """A state as a mark and a word: colour is never the only sign."""
    return Text(f"{STATE_MARKS.get(state, '?')} {one_line(state)}", STATE_STYLES.get(state, ""))


def percent(value: float | str | None, digits: int = 2) -> str:
    """An accuracy in percent; a dash for what is not there."""
    return "-" if value in (None, "") else f"{float(value):.{digits}f}"


def size(number: float | str | None, base: int = 1000) -> str:
    """11173962 -> ``11.2M``."""
    if number in (None, ""):
        return "-"
    value = float(number)
    for unit in ("", "k", "M", "G", "T"):
        if abs(value) < base * 0.9995:
            return f"{value:.0f}" if not unit else f"{value:.3g}{unit}"
        value /= base
    return f"{value:.3g}P"


def bar(fraction: float, width: int, ascii_only: bool = False) -> str:
    """A bar of ``width`` cells."""
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    done = round(max(0.0, min(1.0, fraction)) * width)
    return full * done + empty * (width - done)
