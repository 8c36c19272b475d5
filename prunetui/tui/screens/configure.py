"""Make a study."""

from __future__ import annotations

from textual.screen import Screen


class ConfigureScreen(Screen[None]):
    """Make a study."""

    def __init__(self, start: str) -> None:
        super().__init__()
