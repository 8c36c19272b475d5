"""A chart as a drawing for papers and pages: the very series that the terminal shows, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.sax.saxutils import escape

from prunetui.chart import Picture, look, short, ticks
from prunetui.report import Series

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 74, 20, 44, 62
ROW = 20
"""Height of a line of the legend."""
DASHES = ("", "6 3", "2 3", "8 3 2 3")
"""Lines differ in more than colour."""
To = Callable[[float, float], tuple[float, float]]


def picture_svg(picture: Picture, title: str, y_label: str) -> str:
    """The picture as SVG text; a white sheet with nothing on it but the title when there is nothing to show."""
    legend = [(i, curve) for i, curve in picture.shown if curve.x]
    height = HEIGHT + ROW * math.ceil(len(legend) / 3)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(WIDTH / 2, 24, title, "middle", 'font-size="15" font-weight="bold"'),
    ]
    bounds = picture.bounds()
    if bounds:
        to = _scale(bounds, picture.log_x)
        parts += [*_axes(bounds, picture, y_label, to), '<g clip-path="url(#inside)">']
        parts += _level(picture, bounds, to)
        parts += [mark for i, curve in legend for mark in _curve(i, curve, to)]
        front = " ".join(f"{x:.1f},{y:.1f}" for x, y in (to(*point) for point in picture.front))
        parts.append(f'<polyline points="{front}" fill="none" stroke="#222" stroke-dasharray="1 4"/>' if front else "")
        parts += ["</g>", *_legend(legend)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scale(bounds: tuple[float, float, float, float], log_x: bool) -> To:
    def flat(x: float) -> float:
        return math.log10(x) if log_x and x > 0 else x

    left, right, low, high = flat(bounds[0]), flat(bounds[1]), bounds[2], bounds[3]

    def to(x: float, y: float) -> tuple[float, float]:
        across = (flat(x) - left) / ((right - left) or 1)
        up = (y - low) / ((high - low) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    return to


def _axes(bounds: tuple[float, float, float, float], picture: Picture, y_label: str, to: To) -> list[str]:
    left, right, low, high = bounds
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [
        f'<clipPath id="inside"><rect x="{LEFT}" y="{TOP}" width="{wide}" height="{tall}"/></clipPath>',
        f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{tall}" fill="none" stroke="#999"/>',
        _text(LEFT + wide / 2, HEIGHT - 16, picture.x_label, "middle"),
        f'<g transform="translate(18 {TOP + tall / 2}) rotate(-90)">{_text(0, 0, y_label, "middle")}</g>',
    ]
    for tick in ticks(left, right, picture.log_x):
        x, y = to(tick, low)
        parts.append(f'<path d="M{x:.1f} {TOP}V{y:.1f}" stroke="#e6e6e6"/>')
        parts.append(_text(x, y + 18, short(tick), "middle"))
    for tick in ticks(low, high):
        x, y = to(left, tick)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#e6e6e6"/>')
        parts.append(_text(x - 8, y + 4, short(tick), "end"))
    return parts


def _level(picture: Picture, bounds: tuple[float, float, float, float], to: To) -> list[str]:
    if picture.level is None:
        return []
    (x, y), (end, _) = to(bounds[0], picture.level), to(bounds[1], picture.level)
    words = _text(x + 6, y - 5, f"dense {picture.level:.2f}", more='fill="#777"')
    return [f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="#777" stroke-dasharray="4 4"/>', words]


def _curve(index: int, curve: Series, to: To) -> list[str]:
    r, g, b = look(index)[1]
    color = f"rgb({r},{g},{b})"
    points = [to(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = DASHES[index // 7 % len(DASHES)]
    parts = [f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>']
    for x, y, spread in zip(curve.x, curve.y, curve.spread, strict=True):
        if spread:
            (across, top), (_, bottom) = to(x, y + spread), to(x, y - spread)
            ends = f"M{across - 4:.1f} {top:.1f}h8M{across:.1f} {top:.1f}V{bottom:.1f}M{across - 4:.1f} {bottom:.1f}h8"
            parts.append(f'<path d="{ends}" stroke="{color}" fill="none"/>')
    return parts + [_marker(index, x, y, color) for x, y in points]


def _marker(index: int, x: float, y: float, color: str) -> str:
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>',
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{color}"/>',
        f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{color}"/>',
        f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z" fill="{color}"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#fff" stroke="{color}" stroke-width="2"/>',
    )
    return shapes[index % len(shapes)]


def _legend(legend: list[tuple[int, Series]]) -> list[str]:
    parts = []
    for place, (i, curve) in enumerate(legend):
        r, g, b = look(i)[1]
        x, y = LEFT + place % 3 * (WIDTH - LEFT - RIGHT) / 3, HEIGHT + place // 3 * ROW
        parts += [_marker(i, x + 6, y - 4, f"rgb({r},{g},{b})"), _text(x + 18, y, curve.label)]
    return parts


def _text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
