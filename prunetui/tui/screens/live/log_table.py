"""The story of a run: ten thousand lines cost what those on screen do."""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text

from prunetui.results.event_text import LogLine
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable

LEVELS = ("debug", "info", "warning", "error")
STYLES = {"debug": "dim", "info": "", "warning": "#e69f00", "error": "bold #ff6b5e"}


class LogTable(VirtualTable[tuple[int, LogLine]]):
    """Lines of at least a level; follows the end while the cursor is there."""

    def __init__(self, **more: Any) -> None:
        columns: list[Column[tuple[int, LogLine]]] = [
            Column("time", "time", lambda r: _clock(r[1].time), lambda r: r[0], least=8, most=8),
            Column(
                "level",
                "level",
                lambda r: Text(r[1].level, STYLES.get(r[1].level, "")),
                lambda r: r[0],
                least=7,
                most=7,
            ),
            Column(
                "text",
                "what",
                lambda r: Text(r[1].text, STYLES.get(r[1].level, "")),
                lambda r: r[0],
                least=20,
                most=400,
            ),
        ]
        super().__init__(columns, key=lambda row: str(row[0]), **more)
        self.level = "info"
        self._lines: tuple[LogLine, ...] = ()
        self._chosen: list[tuple[int, LogLine]] = []
        self._seen = 0

    def add(self, lines: tuple[LogLine, ...]) -> None:
        """The whole story so far; what is new is put to the end."""
        if lines == self._lines:
            return
        follows = self.cursor >= len(self.rows) - 1
        self._lines = lines
        silent = LEVELS[: LEVELS.index(self.level)]
        new = enumerate(lines[self._seen :], self._seen)
        chosen = [(i, line) for i, line in new if _level(line) not in silent]
        self._seen = len(lines)
        if not chosen:
            return
        self._chosen += chosen
        self.show(self._chosen)
        if follows:
            self.action_last()

    def next_level(self) -> str:
        """Show more, or less."""
        self.level = LEVELS[(LEVELS.index(self.level) - 1) % len(LEVELS)]
        lines, self._lines, self._chosen, self._seen = self._lines, (), [], 0
        self.show(())
        self.add(lines)
        return self.level


def _level(line: LogLine) -> str:
    """Its level; what another program calls otherwise is information."""
    return line.level if line.level in STYLES else "info"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds else ""
