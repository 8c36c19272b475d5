"""Half-finished training: the last epoch of the step that runs, to resume from."""

from __future__ import annotations

from pathlib import Path

from prunetui.atomic import write_atomic


class PartialFiles:
    """The last finished epoch of the training that is going on, in the run's own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Path | None:
        path = self._folder / f"{key}.safetensors"
        return path if path.is_file() else None

    def save(self, key: str, data: bytes) -> None:
        self._folder.mkdir(exist_ok=True)
        write_atomic(self._folder / f"{key}.safetensors", data)

    def drop(self, key: str) -> None:
        (self._folder / f"{key}.safetensors").unlink(missing_ok=True)
