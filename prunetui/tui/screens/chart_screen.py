"""What the screens that show a chart and a table have in common."""

from __future__ import annotations

from typing import Any

from prunetui.tui.screens.following import FollowingScreen
from prunetui.tui.session import Session
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.filtered import Filtered
from prunetui.tui.widgets.legend import Legend
from prunetui.tui.widgets.panes import Panes
from prunetui.tui.widgets.plot import Plot


class ChartScreen(FollowingScreen):
    """A plot beside a table with a filter."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def action_methods(self) -> None:
        """To the list of methods."""
        self.query_one(Panes).bring(0)
        self.query_one(Legend).focus()

    def action_plot(self, name: str, *arguments: Any) -> None:
        """What a key means for the chart, wherever the focus is."""
        getattr(self.query_one(Plot), f"action_{name}")(*arguments)
        self.query_one(Panes).uncover()

    def on_plot_axes_changed(self, event: Plot.AxesChanged) -> None:
        self.session.remember(chart_x=event.x, chart_y=event.y)

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(Panes).bring(1)
        self.query_one(Filtered).open()

    def action_back(self) -> None:
        """Back to what was before: from the legend, from a filter, from the screen."""
        if self.query_one(Legend).has_focus:
            self.query_one(ChartView).focus()
        elif not self.query_one(Filtered).close():
            self.dismiss()
