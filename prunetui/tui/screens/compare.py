"""Several runs together."""

from __future__ import annotations

from textual.screen import Screen


class CompareScreen(Screen[None]):
    """Several runs together."""

    def __init__(self, runs: list[str]) -> None:
        super().__init__()
