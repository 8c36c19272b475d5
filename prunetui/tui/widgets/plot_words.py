"""What a plot says where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.results.axes import Axis
from prunetui.results.chart import Picture
from prunetui.results.summary import Line, only_masks


def nothing_drawn(picture: Picture, heading: str, why: str, no_points: str) -> str:
    """Why there is no chart; ``why`` where there are no results either."""
    if any(curve.x and curve.label not in picture.hidden for curve in picture.series):
        return "There is no room for a chart."
    if any(curve.x for curve in picture.series):
        return "All methods are hidden; a shows them."
    if picture.series:
        return f"Nothing has {heading} yet; x and y choose other axes. {no_points}".rstrip()
    return why


def no_points(lines: Sequence[Line], x_axis: Axis) -> str:
    """Why methods have no point where latency is an axis."""
    masks = only_masks(lines) if x_axis.key.startswith("latency") else ""
    return f"No points for {masks}." if masks else ""
