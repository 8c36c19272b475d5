"""Times as lists and screens show them."""

from __future__ import annotations


def ago(seconds: float) -> str:
    """Whole units: 90 -> ``1m``; 200000 -> ``2d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def clock(seconds: float | None) -> str:
    """90 -> ``1:30``; None -> a dash."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
