"""Screens that are told by threads what is new in the store, and those of them that show a chart and a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from textual.message import Message
from textual.screen import Screen

from prunetui.tui.feed import Feed
from prunetui.tui.widgets.chart_view import Chart
from prunetui.tui.widgets.filtered import Filtered
from prunetui.tui.widgets.legend import Legend
from prunetui.tui.widgets.panes import Panes
from prunetui.tui.widgets.plot import Plot

if TYPE_CHECKING:
    from prunetui.tui.app import PrunetuiApp

V = TypeVar("V")


class FollowingScreen(Screen[None]):
    """Looks at something while it can be seen."""

    app: PrunetuiApp

    def __init__(self) -> None:
        super().__init__()
        self._feeds: list[Feed[Any]] = []

    def follow(self, look: Callable[[], V], changed: Callable[[V], Message], seconds: float) -> None:
        """Look every so often; what ``changed`` makes of it is posted when it is something else than before."""

        def tell(seen: V) -> None:
            if self.is_attached:
                self.post_message(changed(seen))

        def failed(words: str) -> None:
            app.call_later(app.notify, f"this cannot be read: {words}", severity="error")

        app = self.app
        feed = Feed(look, tell, seconds, wanted=lambda: not app.is_covered(self), failed=failed)
        self._feeds.append(feed)
        self.call_after_refresh(feed.start)  # reading takes time from drawing, and there is nothing to see yet

    def on_unmount(self) -> None:
        for feed in self._feeds:
            feed.close()

    def look_again(self) -> None:
        """Something was done to it: look now, not at the next turn."""
        for feed in self._feeds:
            feed.nudge()


class ChartScreen(FollowingScreen):
    """A plot beside a table with a filter."""

    def action_methods(self) -> None:
        """To the list of methods."""
        self.query_one(Panes).bring(0)
        self.query_one(Legend).focus()

    def action_plot(self, name: str, *arguments: Any) -> None:
        """What a key means for the chart, wherever the focus is."""
        getattr(self.query_one(Plot), f"action_{name}")(*arguments)
        self.query_one(Panes).uncover()

    def on_plot_axes_changed(self, event: Plot.AxesChanged) -> None:
        self.app.remember(chart_x=event.x, chart_y=event.y)

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(Panes).bring(1)
        self.query_one(Filtered).open()

    def action_back(self) -> None:
        """Back to what was before: from the legend, from a filter, from the screen."""
        if self.query_one(Legend).has_focus:
            self.query_one(Chart).focus()
        elif not self.query_one(Filtered).close():
            self.dismiss()
