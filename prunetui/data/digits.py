"""Handwritten digits that ship with scikit-learn."""

from __future__ import annotations

import numpy as np

from prunetui.api import Splits, data
from prunetui.data.stratified import stratified

TEST = 360


@data("digits", augment="crop", images=(1437, 360))
def digits() -> Splits:
    """1,797 real handwritten digits of 8x8 pixels with 17 grey levels; 360 stratified ones are the test split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (bunch.images[:, None] * (255 / 16)).round().astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    test, train = stratified(labels, TEST, seed=0)
    return Splits(
        train=(pixels[train], labels[train]),
        test=(pixels[test], labels[test]),
        classes=tuple(str(name) for name in bunch.target_names),
    )
