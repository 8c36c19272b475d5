"""Reading a file of events while it grows."""

from __future__ import annotations

import os
from pathlib import Path

from prunetui import events
from prunetui.files.regular import open_regular

CHUNK = 8 << 20
MOST = 512 << 20
"""Bytes that one call reads at most; the next call goes on."""


class Tail:
    """Reads events as they come; call ``read`` as often as you like."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[bytes]:
        """The whole lines that came since the last call; none where the file cannot be read, or is no file."""
        try:
            descriptor = open_regular(self._path)
        except OSError:
            return []
        found: list[bytes] = []
        with os.fdopen(descriptor, "rb") as file:
            self._offset = min(self._offset, os.fstat(descriptor).st_size)  # somebody may have cut it off
            last = self._offset + MOST
            while self._offset < last:
                file.seek(self._offset)
                try:
                    data = file.read(CHUNK)
                except OSError:
                    break
                end = data.rfind(b"\n") + 1
                if not end and len(data) == CHUNK:
                    end = CHUNK  # a line that no event has; what is left of it is no event either
                found += data[:end].splitlines()
                self._offset += end
                if len(data) < CHUNK:
                    break
        return found

    def read(self) -> list[events.Event]:
        """The events that came since the last call; unreadable lines are skipped."""
        return [event for line in self.lines() if (event := events.from_json(line)) is not None]
