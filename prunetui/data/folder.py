"""An image tree of the user's: root/{train,test|val}/<class>/<image>."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prunetui.api import Splits, data
from prunetui.data.lazy_images import Streaming
from prunetui.data.tree.judge import Reader
from prunetui.data.tree.read import read
from prunetui.data.tree.wanted import Note, Wanted


@data("folder", augment="crop+flip", tree=True)
def folder(
    root: Path,
    size: int | None,
    skip_corrupt: bool,
    wanted: Wanted,
    train_needed: bool,
    streaming: Streaming,
    report: Callable[[str, int, int], None],
    note: Note,
) -> Splits:
    """Images in a folder a class, of any size and format."""
    train, test, classes = read(root, size, wanted, train_needed, streaming, Reader(0, skip_corrupt, report, note))
    return Splits(train=train, test=test, classes=classes)
