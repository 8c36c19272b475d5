"""Public data sets: scikit-learn's digits, which ship with it, and those torchvision downloads and verifies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunetui.engine.data.split import stratified
from prunetui.errors import DataError

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
Read = tuple[Split, Split, tuple[str, ...]]

DIGITS_TEST = 360
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN", "fashion-mnist": "FashionMNIST"}
FILES = {
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
    "svhn": "train_32x32.mat and test_32x32.mat",
    "fashion-mnist": "FashionMNIST/raw/*-ubyte.gz (4 files)",
}


def digits() -> Read:
    """1,797 real handwritten digits of 8x8 pixels with 17 grey levels; 360 stratified ones are the test split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (bunch.images[:, None] * (255 / 16)).round().astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    test, train = stratified(labels, DIGITS_TEST, seed=0)
    classes = tuple(str(name) for name in bunch.target_names)
    return (pixels[train], labels[train]), (pixels[test], labels[test]), classes


def read(name: str, root: Path, report: Any) -> Read:
    """One of torchvision's data sets, downloaded into ``root`` if it is not there, its checksums verified.

    Raises:
        DataError: it is not in ``root`` and cannot be downloaded.
    """
    import torchvision.datasets

    make = getattr(torchvision.datasets, TORCHVISION[name])
    splits = [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]
    try:
        sets = [_local(make, root, split) for split in splits]
        if None in sets:
            with _download_reported(name, report):
                sets = [make(str(root), download=True, **split) for split in splits]
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} is not in {root.resolve()} and could not be downloaded ({_reason(error)}); "
            f"with a network, run again; without one, put {FILES[name]} there from another machine, "
            f"or set data.root to where it is"
        ) from None
    classes = tuple(getattr(sets[0], "classes", None) or (str(i) for i in range(10)))
    return _arrays(sets[0]), _arrays(sets[1]), classes


def on_disk(name: str, root: Path) -> bool:
    """Whether a data set is already (partly) in ``root``; its checksums are verified when it is read."""
    places = {
        "cifar10": ["cifar-10-batches-py", "cifar-10-python.tar.gz"],
        "cifar100": ["cifar-100-python", "cifar-100-python.tar.gz"],
        "svhn": ["train_32x32.mat"],
        "fashion-mnist": ["FashionMNIST/raw"],
    }
    return any((root / place).exists() for place in places[name])


def _local(make: Any, root: Path, split: dict[str, Any]) -> Any:
    try:
        return make(str(root), download=False, **split)
    except RuntimeError:  # torchvision's word for "not found or corrupted"
        return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).splitlines()[0][:200]


@contextlib.contextmanager
def _download_reported(name: str, report: Any) -> Iterator[None]:
    """Send torchvision's download progress to ``report`` instead of its own bar."""
    import torchvision.datasets.utils as utils

    class Bar:
        """As much of tqdm as torchvision uses."""

        def __init__(self, total: int | None = None, **_: object) -> None:
            self.total, self.done = total or 0, 0

        def update(self, count: int) -> None:
            self.done += count
            report(f"downloading {name}", self.done, self.total)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            report(f"downloading {name}", self.total, self.total)

    original = utils.tqdm
    utils.tqdm = Bar
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torchvision narrates; stdout is for data
            yield
    finally:
        utils.tqdm = original


def _arrays(dataset: Any) -> Split:
    pixels = np.asarray(dataset.data)
    labels = np.asarray(dataset.labels if hasattr(dataset, "labels") else dataset.targets, dtype=np.int64)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3:
        pixels = pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels, dtype=np.uint8), labels
