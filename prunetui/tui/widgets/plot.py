"""Results as a chart to work with: choose axes and methods, zoom, point at a result and be told what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import Static

from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.results.axes import X_AXES, Point, after, axis, best, curves, level, nearest, offered, told, y_axes
from prunetui.results.chart import DENSE_COLOR, DENSE_MARKER, Picture
from prunetui.results.figure import figure_bytes
from prunetui.results.summary import Line
from prunetui.tui.widgets import viewport
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.legend import Legend
from prunetui.tui.widgets.plot_words import no_points, nothing_drawn

NARROW = 100
"""Cells from which the legend stands beside the chart."""
HINT = "Arrow keys point at results; enter opens the one pointed at."


class Plot(Container):
    """A chart, its legend and a line about the point under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "along(1)", "Next point", show=False),
        Binding("left", "along(-1)", "Point before", show=False),
        Binding("up,k,left_square_bracket", "across(-1)", "Series before", show=False),
        Binding("down,j,right_square_bracket", "across(1)", "Next series", show=False),
        Binding("shift+left,ctrl+left,h", "pan(-0.2, 0)", "Pan left", show=False),
        Binding("shift+right,ctrl+right,l", "pan(0.2, 0)", "Pan right", show=False),
        Binding("shift+up,ctrl+up", "pan(0, 0.2)", "Pan up", show=False),
        Binding("shift+down,ctrl+down", "pan(0, -0.2)", "Pan down", show=False),
        Binding("enter", "open_point", "Open the point", show=False),
    ]

    class Opened(Message):
        """Enter on a point."""

        def __init__(self, line: Line) -> None:
            self.line = line
            super().__init__()

    class AxesChanged(Message):
        """Another figure stands on an axis."""

        def __init__(self, x: str, y: str) -> None:
            self.x, self.y = x, y
            super().__init__()

    def __init__(self, x: str = "sparsity", y: str = "", ascii_only: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self._ascii = ascii_only
        self._y_axes = y_axes(CLASSIFICATION)
        self._wanted_y = y  # runs that do not measure it show their primary metric
        self.x_axis, self.y_axis = axis(X_AXES, x), axis(self._y_axes, y)
        self.picture = Picture(())
        self.point: Point | None = None
        self._lines: Sequence[Line] = ()
        self._why = ""
        self._hidden: frozenset[str] = frozenset()
        self._wanted: viewport.Window | None = None
        self._logarithmic = self._front_shown = False

    def compose(self) -> ComposeResult:
        with Container(classes="plot-body"):
            yield ChartView("Reading the results.", self._ascii)
            yield Legend()
        yield Static(Text(HINT, "dim"), classes="point")

    def on_resize(self, event: events.Resize) -> None:
        beside = event.size.width >= NARROW
        self.set_class(beside, "beside")
        self.query_one(Legend).stacked = beside

    # What is shown --------------------------------------------------------------------------------

    def show_lines(self, lines: Sequence[Line], why: str, metrics: Metrics) -> None:
        """Other results; ``why`` says why there is nothing where there is nothing."""
        pointed = self.pointed
        self._y_axes, self._lines, self._why = y_axes(metrics), lines, why
        self.y_axis = axis(self._y_axes, self._wanted_y)
        self._again(pointed, soon=False)

    @property
    def heading(self) -> str:
        """What the chart shows."""
        return f"{self.y_axis.words} against {self.x_axis.words}{' (log)' if self._logarithmic else ''}"

    @property
    def pointed(self) -> Line | None:
        """The line of results under the cursor."""
        if self.point is None:
            return None
        return self.picture.series[self.point[0]].of[self.point[1]]

    def told_point(self) -> str:
        """The point under the cursor in words; empty when there is none."""
        line = self.pointed
        at = self.picture.cursor
        return told(line, self.x_axis, self.y_axis, at in self.picture.front) if line else ""

    def figure(self, title: str, kind: Literal["svg", "png"]) -> Callable[[], bytes]:
        """What draws the chart as a file, for a thread to call: it is as it is now."""
        y = self.y_axis.metric.titled(" ")
        return partial(figure_bytes, self.picture, f"{title}: {self.heading}", y, kind)

    def _again(self, pointed: Line | None, soon: bool = True) -> None:
        """Draw what was chosen; the cursor stays at ``pointed`` where that is still shown."""
        found = curves(self._lines, self.x_axis, self.y_axis)
        shown = [curve for curve in found if curve.label not in self._hidden]
        self.point, cursor = None, None
        for i, curve in enumerate(found):
            for j, line in enumerate(curve.of):
                if pointed and curve in shown and line.key == pointed.key:
                    self.point, cursor = (i, j), (curve.x[j], curve.y[j])
        self.picture = Picture(
            found,
            level(self._lines, self.y_axis),
            self.y_axis.metric,
            x_label=self.x_axis.words,
            log_x=self._logarithmic,
            hidden=self._hidden,
            window=self._wanted,
            cursor=cursor,
            front=best(shown, self.x_axis, self.y_axis) if self._front_shown else (),
        )
        self.query_one(ChartView).show(
            self.picture, nothing_drawn(self.picture, self.heading, self._why, self._no_points), soon
        )
        self.query_one(Legend).show(self.picture)
        self._tell()

    @property
    def _no_points(self) -> str:
        return no_points(self._lines, self.x_axis)

    def _tell(self) -> None:
        words = self.told_point()
        hint = f"{self._no_points} {HINT}".lstrip() if any(curve.x for curve in self.picture.series) else ""
        self.query_one(".point", Static).update(Text(words) if words else Text(hint, "dim"))
        at = self.picture.level
        dense = f"{DENSE_MARKER} dense {self.y_axis.metric.number(at)}" if at is not None else ""
        on = ["front: what no other result beats"] if self.picture.front else []
        zoomed = ["zoomed, 0 shows all"] if self._wanted else []
        self.border_title = f"1 {self.heading}"
        r, g, b = DENSE_COLOR
        self.border_subtitle = f"[rgb({r},{g},{b})]{'  '.join(filter(None, [dense, *on, *zoomed]))}[/]"

    # Axes and methods -----------------------------------------------------------------------------

    def action_x(self, by: int) -> None:
        """Another figure along the x axis."""
        self.x_axis = after(offered(X_AXES, self._lines, self.x_axis), self.x_axis, by)
        self._axes_changed()

    def action_y(self, by: int) -> None:
        """Another figure along the y axis."""
        self.y_axis = after(self._y_axes, self.y_axis, by)
        self._wanted_y = self.y_axis.key
        self._axes_changed()

    def _axes_changed(self) -> None:
        self._wanted = None
        self._again(self.pointed)
        self.post_message(self.AxesChanged(self.x_axis.key, self._wanted_y))

    def action_log(self) -> None:
        """Logarithms along x, or not."""
        self._logarithmic, self._wanted = not self._logarithmic, None
        self._again(self.pointed)

    def action_front(self) -> None:
        """Join the results that no other beats in both figures, or not."""
        self._front_shown = not self._front_shown
        self._again(self.pointed)

    def action_all(self) -> None:
        """Show all methods."""
        self._hidden = frozenset()
        self._again(self.pointed)

    def on_legend_toggled(self, event: Legend.Toggled) -> None:
        event.stop()
        if event.only:
            self._hidden = frozenset(curve.label for curve in self.picture.series) - {event.label}
        else:
            self._hidden ^= {event.label}
        self._again(self.pointed)

    # Moving ---------------------------------------------------------------------------------------

    def action_zoom(self, factor: float) -> None:
        """Show less or more, around the cursor if there is one."""
        bounds = self.picture.bounds()
        if bounds:
            self._wanted = viewport.zoomed(bounds, factor, self.picture.cursor, self._logarithmic)
            self._again(self.pointed)

    def action_pan(self, aside: float, up: float) -> None:
        """Show what lies beside."""
        bounds = self.picture.bounds()
        if bounds:
            self._wanted = viewport.panned(bounds, aside, up, self._logarithmic)
            self._again(self.pointed)

    def action_reset(self) -> None:
        """Show everything."""
        self._wanted = None
        self._again(self.pointed)

    def action_along(self, by: int) -> None:
        """Point at the next result of this method."""
        self._point_at(nearest(self.picture.shown, self.point, by, 0))

    def action_across(self, by: int) -> None:
        """Point at a result of another method."""
        self._point_at(nearest(self.picture.shown, self.point, 0, by))

    def _point_at(self, point: Point | None) -> None:
        if point is None:
            return
        curve = self.picture.series[point[0]]
        at = curve.x[point[1]], curve.y[point[1]]
        if self._wanted:
            self._wanted = viewport.holding(self._wanted, at, self._logarithmic)
        self._again(curve.of[point[1]])

    def action_open_point(self) -> None:
        """Open the result under the cursor."""
        if self.pointed is not None:
            self.post_message(self.Opened(self.pointed))
