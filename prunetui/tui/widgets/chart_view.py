"""A chart that is drawn by a thread, on new data or a new size only; every two seconds at most where nobody waits."""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text
from textual import events, work
from textual.timer import Timer
from textual.widget import Widget

from prunetui.results.chart import Picture, draw, legend
from prunetui.terminal.output import packed

LEAST_SECONDS = 2.0
"""Between drawings of what a run does: each takes 10 ms from its training."""
SOON_SECONDS = 0.06
"""Between drawings that answer a key."""

Asked = tuple[Picture, str, str | None, int, int]
"""What is to be drawn, what is said if that is nothing, its caption, and the cells there are for it."""


class ChartView(Widget, can_focus=True):
    """Shows a ``Picture``; what it says when there is nothing to draw is ``nothing``."""

    def __init__(self, nothing: str = "Nothing to draw yet.", ascii_only: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.nothing = nothing
        self._ascii = ascii_only
        self.picture = Picture(())
        self._text = Text(nothing)
        self._caption: str | None = None
        self._asked: Asked | None = None
        self._drawn_at = 0.0
        self._waiting: Timer | None = None
        self._due = 0.0

    def show(self, picture: Picture, nothing: str = "", soon: bool = False, caption: str | None = None) -> None:
        """Draw another picture, if it is another; ``soon`` when somebody has pressed a key and waits for it.

        ``caption`` goes into the border of the panel around it, together with the picture: each alone takes as long.
        """
        self._caption = caption
        if picture != self.picture or (nothing and nothing != self.nothing):
            self.picture, self.nothing = picture, nothing or self.nothing
            self._ask(SOON_SECONDS if soon else LEAST_SECONDS)

    def on_resize(self, event: events.Resize) -> None:
        self._ask(0.0)

    def _ask(self, least: float) -> None:
        due = self._drawn_at + least
        wait = due - time.monotonic()
        if wait <= 0:
            self._draw_now()
        elif self._waiting is None or due < self._due:  # somebody waits for what would have had time
            self._wait_no_more()
            self._waiting, self._due = self.set_timer(wait, self._draw_now), due

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def _draw_now(self) -> None:
        self._wait_no_more()
        asked = (self.picture, self.nothing, self._caption, self.content_size.width, self.content_size.height)
        if asked != self._asked and asked[3] > 0:
            self._asked = asked
            if self.picture.series:  # words cost nothing: the first picture need not wait for them
                self._drawn_at = time.monotonic()
            self._draw(asked)

    @work(thread=True, exclusive=True)
    def _draw(self, asked: Asked) -> None:
        picture, nothing, _, width, height = asked
        text = Text.from_ansi(draw(picture, width, height, ascii_only=self._ascii)) if picture.series else Text()
        text.no_wrap = True
        self.app.call_from_thread(self._show_text, asked, text if len(text) else Text(nothing, "dim"))

    def _show_text(self, asked: Asked, text: Text) -> None:
        if asked == self._asked:  # an older thread may come last
            self._text = text
            self.refresh()
            if isinstance(self.parent, Widget) and asked[2] is not None:
                self.parent.border_subtitle = asked[2]

    def render(self) -> Text:
        return self._text


def legend_text(picture: Picture, width: int) -> Text:
    """Marker and name of every series, in lines of at most so many cells, none of which ends between the two."""
    return Text("\n").join(packed(legend(picture), width))
