"""What screens ask of the application by message: to open another screen, or to look at the store again.

Screens post these to the application and know neither it nor each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.message import Message

from prunetui.tui.views import RunView


class OpenRun(Message):
    """Show a run: live while it runs or waits, its results afterwards."""

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__()


class OpenLive(Message):
    """Watch a run."""

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__()


class OpenResults(Message):
    """Show the results of a run, whatever its state."""

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__()


class OpenTrial(Message):
    """Show one row of the results of a run; the others can be gone through."""

    def __init__(self, view: RunView, rows: Sequence[Mapping[str, Any]], place: int) -> None:
        self.view, self.rows, self.place = view, rows, place
        super().__init__()


class OpenCompare(Message):
    """Show several runs together."""

    def __init__(self, runs: Sequence[str]) -> None:
        self.runs = list(runs)
        super().__init__()


class OpenConfigure(Message):
    """Make a study; ``start`` is a run to begin from."""

    def __init__(self, start: str = "") -> None:
        self.start = start
        super().__init__()


class StoreChanged(Message):
    """Something was done to the store: look now, not at the next turn."""
