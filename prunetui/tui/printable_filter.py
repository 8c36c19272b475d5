"""The last look at what is drawn: no control character of anybody's text gets to the terminal.

Tables and titles show such characters as their escapes (``printable``). Whatever else is drawn, by widgets of Textual
too, passes here: what has no width is left out, for the layout has been made without it.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from prunetui.terminal.printable import is_hidden


class PrintableFilter(LineFilter):
    """Drops what a terminal would act on; every strip keeps its width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if "".join([segment.text for segment in segments]).isprintable():
            return segments
        return [segment if segment.control else Segment(_plain(segment.text), segment.style) for segment in segments]


def _plain(text: str) -> str:
    kept = "".join("" if is_hidden(letter) else letter for letter in text)
    return kept + " " * (cell_len(text) - cell_len(kept))
