"""What the engine needs of whoever keeps its states; the store provides it, the engine never sees how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Steps(Protocol):
    """Where finished steps are kept under their keys."""

    def meta(self, key: str) -> dict[str, Any] | None: ...
    def file(self, key: str, name: str) -> Path | None: ...
    def put(self, key: str, meta: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None: ...
    def drop(self, key: str) -> None: ...


class Partials(Protocol):
    """Where a training keeps its last finished epoch."""

    def load(self, key: str) -> Path | None: ...
    def save(self, key: str, data: bytes) -> None: ...
    def drop(self, key: str) -> None: ...
