"""An image tree of the user's: root/{train,test|val}/<class>/<image>."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prunetui.api import Splits, data
from prunetui.data.tree.read import read
from prunetui.data.tree.wanted import Note, Wanted


@data("folder", augment="crop+flip", tree=True)
def folder(
    root: Path,
    size: int | None,
    skip_corrupt: bool,
    wanted: Wanted,
    train_needed: bool,
    report: Callable[[str, int, int], None],
    note: Note,
) -> Splits:
    """Images in a folder a class, of any size and format."""
    train, test, classes = read(root, size, skip_corrupt, report, note, wanted, train_needed)
    return Splits(train=train, test=test, classes=classes)
