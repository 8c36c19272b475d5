"""Two panes: one at a time on a small terminal, one above the other on a high one, side by side on a wide one."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget

from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.virtual_table import VirtualTable

HIGH, WIDE = 34, 150


class Panes(Container):
    """A chart and a table; ``instead`` can take the place of the first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "swap", "Switch", key_display="tab"),
        Binding("1", "bring(0)", "Chart", show=False),
        Binding("2", "bring(1)", "Table", show=False),
    ]

    def __init__(self, first: Widget, second: Widget, instead: Widget | None = None, **more: Any) -> None:
        super().__init__(first, second, *([instead] if instead else []), **more)
        if instead:
            instead.display = False
        self._pair = [first, second]
        self._others = (first, instead or first)
        self.front = 0
        """Which of the two is in front, or has the focus where both are seen."""

    def exchange(self, instead: bool) -> None:
        """Put the other widget in the first place, or the first one back."""
        chosen = self._others[int(instead)]
        if self._pair[0] is not chosen:
            self._pair[0].display = False
            self._pair[0] = chosen
            if self.front == 0:
                self.bring(0)
            self._arrange()

    def bring(self, front: int) -> None:
        """Bring a pane to the front."""
        self.front = front
        self._arrange()
        if not self._pair[front].has_focus_within:
            inner = next(node for node in self._pair[front].query("*") if isinstance(node, ChartView | VirtualTable))
            inner.focus()

    def uncover(self) -> None:
        """Let the first pane be seen; the focus moves only where there is no room for both."""
        if not self._pair[0].display:
            self.bring(0)

    def action_bring(self, front: int) -> None:
        """Bring a pane to the front."""
        self.bring(front)

    def action_swap(self) -> None:
        """The other pane."""
        self.bring(1 - self.front)

    def on_mount(self) -> None:
        self.bring(0)

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.front = int(self._pair[1].has_focus_within)

    def _arrange(self) -> None:
        size = self.app.size
        high, wide = size.height >= HIGH, size.width >= WIDE
        self.set_class(high, "above")
        self.set_class(wide and not high, "side")
        for place, pane in enumerate(self._pair):
            pane.display = high or wide or place == self.front
