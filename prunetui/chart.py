"""Accuracy against sparsity as text, drawn by plotext."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.report import Series

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

Color = tuple[int, int, int]


def look(index: int) -> tuple[str, Color]:
    """Marker and colour of the series with this index."""
    return MARKERS[index % len(MARKERS)], COLORS[index % len(COLORS)]


def legend(series: Sequence[Series], dense: float | None) -> list[tuple[str, Color, str]]:
    """Marker, colour and label of everything in the chart; it stands below, where it covers no point."""
    entries = [(*look(i), curve.label) for i, curve in enumerate(series)]
    return [*entries, (DENSE_MARKER, DENSE_COLOR, f"{DENSE} {dense:.2f} %")] if dense is not None else entries


def accuracy_chart(series: Sequence[Series], dense: float | None, width: int, height: int, color: bool = True) -> str:
    """The chart as lines of text, ``width`` cells by ``height``; without escape codes unless ``color``."""
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)  # not to what plotext believes the terminal to be
    plotext.theme("clear")
    plotext.plotsize(width, height)
    xs = [x for curve in series for x in curve.x]
    if dense is not None and xs:
        left, right = min(xs), max(xs)
        if left == right:
            left, right = left - 0.05, right + 0.05
        dashes = [left + (right - left) * i / 40 for i in range(41)]
        plotext.scatter(dashes, [dense] * len(dashes), marker=DENSE_MARKER, color=DENSE_COLOR)
    for i, curve in enumerate(series):
        if len(curve.x) > 1:
            plotext.plot(curve.x, curve.y, marker="braille", color=look(i)[1])
    for i, curve in enumerate(series):  # points last: no line may hide one
        marker, shade = look(i)
        plotext.scatter(curve.x, curve.y, marker=marker, color=shade)
    plotext.title("top-1 % on the test split against sparsity")
    plotext.xlabel("fraction of prunable weights removed")
    text: str = plotext.build()
    plotext.clear_figure()
    return text if color else plotext.uncolorize(text)
