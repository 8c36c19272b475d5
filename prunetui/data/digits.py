"""Handwritten digits that ship with scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Splits, data
from prunetui.data.stratified import stratified

TEST = 360


@data("digits", augment="crop", images=(1437, 360))
def digits() -> Splits:
    """1,797 real handwritten digits of 8x8 pixels with 17 grey levels; 360 stratified ones are the test split."""
    images, labels = read_digits()
    pixels = (images.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    test, train = stratified(labels, TEST, seed=0)
    return Splits(
        train=(pixels[train], labels[train]),
        test=(pixels[test], labels[test]),
        classes=tuple("0123456789"),
    )


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Pixels [1797, 64] from 0 to 16, and the digits [1797]."""
    package = find_spec("sklearn")
    table = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz" if package and package.origin else None
    if table is not None and table.is_file():  # importing sklearn.datasets takes 1.5 s of every computing process
        rows = np.loadtxt(table, delimiter=",")
        return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data, bunch.target.astype(np.int64)
