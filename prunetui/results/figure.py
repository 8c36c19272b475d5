"""A chart as a figure for papers and pages: the very series that the terminal shows, drawn by matplotlib."""

from __future__ import annotations

import io
import math
from typing import Any, Literal

from prunetui.results.chart import HUMAN, Picture, in_thousands, look, ticks
from prunetui.terminal.printable import one_line

MARKERS = "os^Dv<>PX*hpd"
DASHES = ("-", "--", ":", "-.")
"""Lines differ in more than colour."""
STYLE = {"svg.hashsalt": "prunetui", "svg.fonttype": "none", "font.size": 9.0}
INCHES, DOTS = (8.6, 5.2), 200
LEGEND_ROW, LETTERS = 0.17, 84
"""Inches of a row of the legend below the axes; letters that fit in one."""
LONGEST = 70
"""Letters from which a label is cut."""
ON_PAPER = {(240, 228, 66): (64, 64, 64)}
"""Colours of the terminal that a white ground swallows."""


def figure_bytes(
    picture: Picture,
    title: str,
    y_label: str,
    kind: Literal["svg", "png"],
    inches: tuple[float, float] = INCHES,
    legend_below: bool = False,
) -> bytes:
    """The picture as a file; see ``figure_of``. Takes a second the first time: call it from a thread."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = figure_of(picture, title, y_label, inches, legend_below)
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=DOTS, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def figure_of(
    picture: Picture, title: str, y_label: str, inches: tuple[float, float] = INCHES, legend_below: bool = False
) -> Any:
    """The picture as a figure of matplotlib's; nothing but its title when there is nothing to show.

    The legend stands where it covers least, or below the axes, and the sheet grows by it.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which has one state for all threads

    with matplotlib.rc_context(STYLE):
        columns = _legend_columns(picture)
        below = LEGEND_ROW * math.ceil((len(picture.shown) + 2) / columns) if legend_below else 0.0
        figure = Figure(figsize=(inches[0], inches[1] + below), layout="constrained")
        axes = figure.subplots()
        axes.set_title(_cut(title), parse_math=False)
        axes.set_xlabel(picture.x_label)
        axes.set_ylabel(y_label)
        draw_series(axes, picture, legend=not legend_below)
        if legend_below and axes.has_data():
            _plain_text(figure.legend(loc="outside lower center", fontsize=8, ncols=columns, frameon=False))
    return figure


def draw_series(axes: Any, picture: Picture, legend: bool = True) -> None:
    """Every series that is shown, with its error bars; the dense level; the front; a legend."""
    bounds = picture.bounds()
    if bounds is None:
        return
    for i, curve in picture.shown:
        shade = look(i)[1]
        color = tuple(channel / 255 for channel in ON_PAPER.get(shade, shade))
        axes.errorbar(
            curve.x, curve.y, yerr=curve.spread if any(curve.spread) else None, capsize=2, label=_cut(curve.label),
            color=color, marker=MARKERS[i % len(MARKERS)], linestyle=DASHES[i // 7 % len(DASHES)], markersize=4,
        )  # fmt: skip
    if picture.level is not None:
        level = picture.metric.number(picture.level) if picture.metric else f"{picture.level:.2f}"
        axes.axhline(picture.level, color="0.5", linestyle="--", linewidth=1, label=f"dense {level}")
    if picture.front:
        axes.plot(*zip(*picture.front, strict=True), color="0.2", linestyle=":", label="Pareto front")
    axes.set_xscale("log" if picture.log_x else "linear")
    axes.set_xlim(bounds[0], bounds[1])
    axes.set_ylim(bounds[2], bounds[3])
    if bounds[1] >= HUMAN:
        _count_in_thousands(axes, bounds[0], bounds[1], picture.log_x)
    axes.grid(alpha=0.25)
    if legend:
        _plain_text(axes.legend(fontsize=7, ncols=2))


def _legend_columns(picture: Picture) -> int:
    """As many as the longest label leaves room for."""
    longest = max((len(_cut(curve.label)) for _, curve in picture.shown), default=1)
    return max(1, min(3, LETTERS // (longest + 6)))


def _cut(label: str) -> str:
    """The label as a legend has it: matplotlib leaves out those that begin with ``_``, and XML has no control codes."""
    text = one_line(label)
    text = f" {text}" if text.startswith("_") else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}.."


def _plain_text(legend: Any) -> None:
    """Labels are words that somebody typed, dollars and all."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def _count_in_thousands(axes: Any, low: float, high: float, log: bool) -> None:
    """Ticks as ``50k``."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: in_thousands(number)))
    if log:
        axes.xaxis.set_major_locator(FixedLocator(ticks(low, high, log=True)))
        axes.xaxis.set_minor_locator(NullLocator())
