"""Charts as text, drawn by plotext: the primary metric against sparsity, and any other two columns of results."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prunetui.metrics import Metric
from prunetui.results.summary import Series, human
from prunetui.terminal.printable import one_line

# Okabe & Ito's palette, distinguishable with every common colour blindness; markers tell series apart without it.
COLORS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (240, 228, 66),
)
MARKERS = "ox+*#@%&svdabcefghijklmnpqrtuwyz"
DENSE = "dense"
DENSE_MARKER, DENSE_COLOR = "-", (150, 150, 150)
LINE, ASCII_LINE = "braille", "."
ASCII_FRAME = str.maketrans("┌┐└┘─│┤├┬┴┼", "++++-|+++++")
PLAIN = "default"
"""The colour of text, which is seen on light and dark alike."""
HUMAN = 10_000
"""From here on ticks are written as 10k."""
POINTS_PER_CELL = 2
"""What can be told apart in a column of cells: more points only cost time (10,000 take plotext 176 ms)."""

Color = tuple[int, int, int]
_plotext = threading.Lock()
"""plotext has one figure for the whole process."""


@dataclass(frozen=True)
class Picture:
    """What a chart shows. Series keep their look by place, hidden or not."""

    series: tuple[Series, ...]
    level: float | None = None
    """A horizontal line: the dense network."""
    metric: Metric | None = None
    """What stands along y, as far as the level is told in words."""
    title: str = ""
    x_label: str = ""
    log_x: bool = False
    hidden: frozenset[str] = frozenset()
    """Labels of series that are not drawn."""
    window: tuple[float, float, float, float] | None = None
    """Lowest and highest x, lowest and highest y; None shows all."""
    cursor: tuple[float, float] | None = None
    """A point that is pointed at."""
    points: bool = True
    """Whether single points are marked."""
    front: tuple[tuple[float, float], ...] = ()
    """Points that are joined by a line of their own: those that no other beats."""

    @property
    def shown(self) -> list[tuple[int, Series]]:
        """The series that are drawn, with their places."""
        return [(i, curve) for i, curve in enumerate(self.series) if curve.label not in self.hidden]

    def bounds(self) -> tuple[float, float, float, float] | None:
        """The window, or what holds everything that is shown; None when there is nothing."""
        if self.window:
            return self.window
        marks = [mark for _, curve in self.shown for mark in _marks(curve) if mark[0] > 0 or not self.log_x]
        if not marks:
            return None
        xs = [math.log10(x) if self.log_x else x for x, _, _ in marks]
        ys = [y for _, *ends in marks for y in ends] + ([self.level] if self.level is not None else [])
        left, right = _widened(min(xs), max(xs), 0.03)
        return (*((10**left, 10**right) if self.log_x else (left, right)), *_widened(min(ys), max(ys), 0.05))


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """A range with some room at both ends; one of no extent gets the size of its value."""
    room = share * (high - low or abs(high) or 1)
    return low - room, high + room


def _marks(curve: Series) -> list[tuple[float, float, float]]:
    """x, and the lowest and highest y of each point with its error bar."""
    return [(x, y - s, y + s) for x, y, s in zip(curve.x, curve.y, curve.spread, strict=True)]


def look(index: int) -> tuple[str, Color]:
    """Marker and colour of the series with this index."""
    return MARKERS[index % len(MARKERS)], COLORS[index % len(COLORS)]


def legend(picture: Picture) -> list[tuple[str, Color, str]]:
    """Marker, colour and label of everything in the chart; it stands below, where it covers no point."""
    entries = [(*look(i), curve.label) for i, curve in enumerate(picture.series)]
    if picture.level is None:
        return entries
    level = picture.metric.text(picture.level) if picture.metric else f"{picture.level:.2f}"
    return [*entries, (DENSE_MARKER, DENSE_COLOR, f"{DENSE} {level}")]


def against_sparsity(series: Sequence[Series], dense: float | None, metric: Metric) -> Picture:
    """The primary metric against sparsity, with the level of the dense network."""
    title, label = f"{metric.titled(' ')} on the test split against sparsity", "fraction of prunable weights removed"
    return Picture(tuple(series), dense, metric, title, label)


def draw(picture: Picture, width: int, height: int, color: bool = True, ascii_only: bool = False) -> str:
    """A picture as lines of text; empty when there is nothing to show or no room."""
    bounds = picture.bounds()
    if bounds is None or width < 20 or height < 6:
        return ""
    with _plotext:
        text = _drawn(picture, bounds, width, height, ascii_only)
    if not color:
        import plotext

        text = plotext.uncolorize(text)
    return text.translate(ASCII_FRAME) if ascii_only else text


def _drawn(
    picture: Picture, bounds: tuple[float, float, float, float], width: int, height: int, ascii_only: bool
) -> str:
    import plotext as plot

    plot.clear_figure()
    plot.limit_size(False, False)  # not to what plotext believes the terminal to be
    plot.theme("clear")
    plot.plotsize(width, height)
    left, right, low, high = bounds
    plot.xlim(_at(left, picture), _at(right, picture))
    plot.ylim(low, high)
    line = ASCII_LINE if ascii_only else LINE
    if picture.level is not None:
        dashes = [_at(left, picture) + (_at(right, picture) - _at(left, picture)) * i / 40 for i in range(41)]
        plot.scatter(dashes, [picture.level] * len(dashes), marker=DENSE_MARKER, color=DENSE_COLOR)
    for i, curve in picture.shown:
        _draw_lines(plot, picture, curve, line, look(i)[1], POINTS_PER_CELL * width)
    if len(picture.front) > 1:
        plot.plot([_at(x, picture) for x, _ in picture.front], [y for _, y in picture.front], marker=line, color=PLAIN)
    if picture.points:
        for i, curve in picture.shown:  # points last: no line may hide one
            marker, shade = look(i)
            seen = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if x > 0 or not picture.log_x]
            plot.scatter([_at(x, picture) for x, _ in seen], [y for _, y in seen], marker=marker, color=shade)
    if picture.cursor:
        plot.scatter([_at(picture.cursor[0], picture)], [picture.cursor[1]], marker="O", color=PLAIN)
    across, up = ticks(left, right, picture.log_x), ticks(low, high, about=max(3, height // 3))
    plot.xticks([_at(tick, picture) for tick in across], [short(tick) for tick in across])
    plot.yticks(up, [short(tick) for tick in up])
    plot.title(one_line(picture.title))
    plot.xlabel(one_line(picture.x_label))
    text: str = plot.build()
    plot.clear_figure()
    return text


def _draw_lines(plot: Any, picture: Picture, curve: Series, line: str, shade: Color, most: int) -> None:
    """The line through the points of a series, and its error bars."""
    seen = [(x, y, s) for x, y, s in zip(curve.x, curve.y, curve.spread, strict=True) if x > 0 or not picture.log_x]
    xs, ys = thinned([x for x, _, _ in seen], [y for _, y, _ in seen], most)
    if len(xs) > 1:
        plot.plot([_at(x, picture) for x in xs], ys, marker=line, color=shade)
    for x, y, spread in seen:
        if spread:
            plot.plot([_at(x, picture)] * 2, [y - spread, y + spread], marker=line, color=shade)


def _at(x: float, picture: Picture) -> float:
    return math.log10(x) if picture.log_x and x > 0 else x


def ticks(low: float, high: float, log: bool = False, about: int = 6) -> list[float]:
    """Round numbers in a range, some ``about`` of them; on a logarithmic axis 1, 2 and 5 times powers of ten."""
    if log and low > 0:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [times * 10.0**power for power in powers for times in (1, 2, 5) if low <= times * 10.0**power <= high]
        if len(found) >= 2:
            return found[:: 1 + len(found) // (2 * about)]
        return [low * (high / low) ** (i / 4) for i in range(5)]
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * times for times in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / rough)))
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def short(number: float) -> str:
    """A tick of an axis: 11200000 -> ``11.2M``, 5000 -> ``5000``, 0.12345 -> ``0.123``."""
    if abs(number) >= HUMAN:
        return in_thousands(number)
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def in_thousands(number: float) -> str:
    """5000 -> ``5k``."""
    return re.sub(r"\.?0+(?=[kMG]$)", "", human(number))


def thinned(xs: Sequence[float], ys: Sequence[float], most: int) -> tuple[list[float], list[float]]:
    """At most about ``most`` points with the same shape: lowest and highest of each of ``most / 2`` stretches."""
    if len(xs) <= most:
        return list(xs), list(ys)
    stretches = max(1, most // 2)
    kept: list[int] = []
    for i in range(stretches):
        part = range(i * len(xs) // stretches, (i + 1) * len(xs) // stretches)
        kept += sorted({min(part, key=ys.__getitem__), max(part, key=ys.__getitem__)})
    return [xs[i] for i in kept], [ys[i] for i in kept]
