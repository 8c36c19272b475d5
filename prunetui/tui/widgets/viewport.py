"""Zoom and pan: the part of a chart that is shown. Pure arithmetic; logarithmic in x where the chart is."""

from __future__ import annotations

import math

Window = tuple[float, float, float, float]
"""Lowest and highest x, lowest and highest y."""


def zoomed(window: Window, factor: float, around: tuple[float, float] | None, log_x: bool) -> Window:
    """The window ``factor`` times as wide and high, with ``around`` (or the middle) where it was."""
    left, right, low, high = _flat(window, log_x)
    x, y = ((left + right) / 2, (low + high) / 2) if around is None else (_at(around[0], log_x), around[1])
    flat = (x - (x - left) * factor, x + (right - x) * factor, y - (y - low) * factor, y + (high - y) * factor)
    return _back(flat, log_x)


def panned(window: Window, aside: float, up: float, log_x: bool) -> Window:
    """The window moved by fractions of its own width and height."""
    left, right, low, high = _flat(window, log_x)
    dx, dy = aside * (right - left), up * (high - low)
    return _back((left + dx, right + dx, low + dy, high + dy), log_x)


def holding(window: Window, point: tuple[float, float], log_x: bool) -> Window:
    """The window moved, where needed, so far that the point is inside."""
    left, right, low, high = _flat(window, log_x)
    x, y = _at(point[0], log_x), point[1]
    wide, tall = (right - left) * 0.05, (high - low) * 0.05
    dx = min(0.0, x - wide - left) + max(0.0, x + wide - right)
    dy = min(0.0, y - tall - low) + max(0.0, y + tall - high)
    return _back((left + dx, right + dx, low + dy, high + dy), log_x) if dx or dy else window


def _at(x: float, log_x: bool) -> float:
    return math.log10(max(x, 1e-300)) if log_x else x


def _flat(window: Window, log_x: bool) -> Window:
    return _at(window[0], log_x), _at(window[1], log_x), window[2], window[3]


def _back(window: Window, log_x: bool) -> Window:
    left, right, low, high = window
    return (10**left, 10**right, low, high) if log_x else window
