"""What all screens work with: the folder of runs, its queue, the settings, and the runs as last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from prunetui.store.queue import Queue
from prunetui.tui.settings import Keeper, Settings, load_settings, settings_path
from prunetui.tui.views import Entry


class Session:
    """Made once by the application and given to every screen."""

    def __init__(
        self,
        root: Path,
        device: str = "auto",
        ascii_only: bool = False,
        settings: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.root, self.device, self.now = root, device, now
        self.queue = Queue(root)
        self.entries: tuple[Entry, ...] | None = None
        """The runs as last seen; None before the first look."""
        path = settings or settings_path()
        self.settings: Settings = load_settings(path)
        self._keeper = Keeper(path)
        self._ascii_asked = ascii_only
        if ascii_only:
            self.settings = replace(self.settings, ascii=True)

    def remember(self, **changes: Any) -> None:
        """Change settings that outlive the session; that ASCII was asked for on the command line does not."""
        self.settings = replace(self.settings, **changes)
        self._keeper.keep(replace(self.settings, ascii=False) if self._ascii_asked else self.settings)

    def close(self) -> None:
        """Wait until all settings are saved."""
        self._keeper.close()
