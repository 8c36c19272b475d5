"""The results of a run."""

from __future__ import annotations

from textual.screen import Screen


class ResultsScreen(Screen[None]):
    """The results of a run."""

    def __init__(self, run: str) -> None:
        super().__init__()
