"""Public data sets that torchvision downloads and verifies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Splits, data
from prunetui.errors import DataError

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
Report = Callable[[str, int, int], None]

FILES = {
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
    "svhn": "train_32x32.mat and test_32x32.mat",
    "fashion-mnist": "FashionMNIST/raw/*-ubyte.gz (4 files)",
}
"""What to put into ``root`` by hand."""


@data("cifar10", augment="crop+flip", images=(50_000, 10_000), places=("cifar-10-batches-py", "cifar-10-python.tar.gz"))
def cifar10(root: Path, report: Report) -> Splits:
    """60,000 colour photographs of 32x32 pixels in 10 classes."""
    return _read("cifar10", "CIFAR10", root, report)


@data("cifar100", augment="crop+flip", images=(50_000, 10_000), places=("cifar-100-python", "cifar-100-python.tar.gz"))
def cifar100(root: Path, report: Report) -> Splits:
    """60,000 colour photographs of 32x32 pixels in 100 classes."""
    return _read("cifar100", "CIFAR100", root, report)


@data("svhn", augment="crop", images=(73_257, 26_032), places=("train_32x32.mat",))
def svhn(root: Path, report: Report) -> Splits:
    """99,289 house numbers' digits of 32x32 pixels in colour."""
    return _read("svhn", "SVHN", root, report)


@data("fashion-mnist", augment="crop+flip", images=(60_000, 10_000), places=("FashionMNIST/raw",))
def fashion_mnist(root: Path, report: Report) -> Splits:
    """70,000 grey pictures of clothes of 28x28 pixels in 10 classes."""
    return _read("fashion-mnist", "FashionMNIST", root, report)


def _read(name: str, maker: str, root: Path, report: Report) -> Splits:
    """One of torchvision's data sets, downloaded into ``root`` if it is not there, its checksums verified.

    Raises:
        DataError: it is not in ``root`` and cannot be downloaded.
    """
    import torchvision.datasets

    make = getattr(torchvision.datasets, maker)
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
    return Splits(train=_arrays(sets[0]), test=_arrays(sets[1]), classes=classes)


def _local(make: Any, root: Path, split: dict[str, Any]) -> Any:
    try:
        return make(str(root), download=False, **split)
    except RuntimeError:  # torchvision's word for "not found or corrupted"
        return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).splitlines()[0][:200]


@contextlib.contextmanager
def _download_reported(name: str, report: Report) -> Iterator[None]:
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
