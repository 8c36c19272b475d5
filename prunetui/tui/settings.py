"""What the application remembers between sessions, in the XDG configuration directory."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prunetui.files.atomic import write_atomic
from prunetui.files.regular import read_object


@dataclass(frozen=True)
class Settings:
    """Everything has a default; a file of another version is read as far as it is known."""

    theme: str = "prunetui-dark"
    ascii: bool = False
    sort: str = "age"
    descending: bool = False
    chart_y: str = ""
    """A figure; the primary metric of the run when empty."""
    chart_x: str = "sparsity"


def settings_path() -> Path:
    """``$XDG_CONFIG_HOME/prunetui/settings.json``."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(base) / "prunetui" / "settings.json"


def load_settings(path: Path) -> Settings:
    """The remembered settings; defaults for what is missing or of the wrong kind."""
    try:
        plain = read_object(path)
    except (OSError, ValueError):
        return Settings()
    known: dict[str, Any] = asdict(Settings())
    given = {k: plain[k] for k, default in known.items() if type(plain.get(k)) is type(default)}
    return replace(Settings(), **given)


def save_settings(path: Path, settings: Settings) -> None:
    """Write them; a read-only home is no reason to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(settings), indent=1) + "\n")
    except OSError:
        return


class Keeper:
    """Saves settings in a thread, one after the other: the disk may take its time, the screen must not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "settings")

    def keep(self, settings: Settings) -> None:
        """Save them soon."""
        self._thread.submit(save_settings, self._path, settings)

    def close(self) -> None:
        """Wait until all is saved."""
        self._thread.shutdown()
