"""Data sets of Hugging Face's ``datasets`` that lie in a folder, as ``save_to_disk`` leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetui.api import Splits, data
from prunetui.errors import DataError

LABELS = ("label", "labels")


@data("huggingface")
def huggingface(
    root: Path, image: str = "", label: str = "label", columns: str = "", train: str = "train", validation: str = "",
    test: str = "test",
) -> Splits:  # fmt: skip
    """A data set of Hugging Face's on disk; its rows go to the network by the names of their columns.

    Args:
        image: Column of images; they are then classified by the column ``label``, resized, normalised and augmented.
        label: Column of the labels of ``image``.
        columns: Columns of a prepared example, with commas between them; all, if there are none.
        train: Split to train on.
        validation: Split for choices; part of the training split, if there is none.
        test: Split to measure on.
    """
    found = _splits(root)
    named = {"train": train, "test": test, **({"validation": validation} if validation else {})}
    if missing := [name for name in named.values() if name not in found]:
        raise DataError(f"{root} has no split {', '.join(missing)}; there are: {', '.join(found)}")
    chosen = {split: found[name] for split, name in named.items()}
    wanted = [image, label] if image else [name.strip() for name in columns.split(",") if name.strip()]
    there = list(chosen["train"].column_names)
    if unknown := [name for name in wanted if name not in there]:
        raise DataError(f"{root} has no column {', '.join(unknown)}; there are: {', '.join(there)}")
    classes = _classes(chosen["train"], (label,) if image else LABELS)
    if image:
        made: dict[str, Any] = {split: LabelledRows(rows, image, label) for split, rows in chosen.items()}
        return Splits(**made, classes=classes)
    made = {split: part.with_format("torch", columns=wanted or None) for split, part in chosen.items()}
    return Splits(**made, classes=classes, prepared=True)


@dataclass(frozen=True)
class LabelledRows:
    """Rows as pairs of an image and its label."""

    rows: Any
    image: str
    label: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        row = self.rows[index]
        return row[self.image], int(row[self.label])

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        return (self[index] for index in range(len(self)))


def _splits(root: Path) -> dict[str, Any]:
    """Splits by name.

    Raises:
        DataError: the package is missing, or no data set lies there.
    """
    try:
        import datasets
    except ImportError:
        raise DataError("data of Hugging Face's needs the package datasets: pip install 'prunetui[datasets]'") from None
    try:
        found = datasets.load_from_disk(str(root))
    except (OSError, ValueError) as error:
        raise DataError(f"no data set of Hugging Face's can be read from {root}: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{root} has one split only; save a DatasetDict with a split to train on and one to measure on")
    return dict(found)


def _classes(rows: Any, columns: tuple[str, ...]) -> list[str] | None:
    """Names of the classes, where a column of labels says them."""
    for column in columns:
        names = getattr(rows.features.get(column), "names", None)
        if names:
            return list(names)
    return None
