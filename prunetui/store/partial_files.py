"""Half-finished training: the last epoch of the step that runs, to resume from. Its first line is its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from prunetui.files.atomic import write_atomic
from prunetui.files.regular import read_regular


class PartialFiles:
    """The last finished epoch of the training that is going on, in the run's own folder."""

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self._folder = folder
        self._tell = tell

    def load(self, key: str) -> bytes | None:
        """What was saved last; None when nothing was, or when it is damaged, which is told."""
        try:
            data = read_regular(self._path(key), None)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.damaged(key, error.strerror or str(error))
            return None
        sha256, line, rest = data[:64], data[64:65], data[65:]
        if line != b"\n" or sha256 != _sha256(rest):
            self.damaged(key, "its checksum does not fit")
            return None
        return rest

    def save(self, key: str, data: bytes) -> None:
        self._folder.mkdir(exist_ok=True)
        write_atomic(self._path(key), b"%b\n%b" % (_sha256(data), data))

    def drop(self, key: str) -> None:
        path = self._path(key)
        if path.is_dir() and not path.is_symlink():  # somebody put it there; it would be in the way of the next epoch
            path.rename(path.with_name(f"{path.name}.damaged"))
        path.unlink(missing_ok=True)

    def damaged(self, key: str, trouble: str) -> None:
        """What was saved is something else than it should be: it goes, and the training begins again."""
        self.drop(key)
        self._tell(f"a half-finished training was damaged and begins again ({key[:8]}: {trouble})")

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.partial"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
