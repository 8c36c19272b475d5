"""How weights are spread, as bars of eighths of a cell."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widget import Widget

from prunetui.results.inspect_model import Histogram

EIGHTHS = " ▁▂▃▄▅▆▇█"
ASCII = "  ..::||#"


class Bars(Widget):
    """A histogram in the room there is."""

    def __init__(self, ascii_only: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self._ascii = ascii_only
        self.histogram: Histogram | None = None

    def show(self, histogram: Histogram | None) -> None:
        """Another histogram."""
        self.histogram = histogram
        self.refresh()

    def render(self) -> Text:
        width, height = self.content_size
        if self.histogram is None or width < 8 or height < 3:
            return Text("")
        lines = bars(self.histogram, width, height, self._ascii)
        return Text("\n".join(lines), "#56b4e9", no_wrap=True)


def bars(histogram: Histogram, width: int, height: int, ascii_only: bool) -> list[str]:
    """The histogram as lines of text; the last names its ends and its middle."""
    count, most = len(histogram.counts), max(histogram.counts, default=0) or 1
    marks = ASCII if ascii_only else EIGHTHS
    each = max(1, width // count)
    columns = [column for column in histogram.counts for _ in range(each)][:width]
    if each == 1 and width < count:  # too narrow: neighbours are added up
        columns = [sum(histogram.counts[i * count // width : (i + 1) * count // width]) for i in range(width)]
        most = max(columns) or 1
    levels = [round(8 * (height - 1) * column / most) or int(column > 0) for column in columns]
    rows = [
        "".join(marks[max(0, min(8, level - 8 * row))] for level in levels).rstrip()
        for row in reversed(range(height - 1))
    ]
    ends = f"{-histogram.limit:.3g}", "0", f"{histogram.limit:.3g}"
    middle = ends[1].center(len(columns) - len(ends[0]) - len(ends[2]))
    return [*rows, ends[0] + middle + ends[2]]
