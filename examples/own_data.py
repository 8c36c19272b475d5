"""A data set of your own: a function that returns splits.

    prunetui --batch --set data.name=own_data.py:stripes --set data.options.noise=0.3

A split is a pair of images [N, C, H, W] and labels [N], or a map-style dataset of such pairs. What is read from files
asks for ``root``, the folder that a study names in ``data.root``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Splits, data

SIZE = 8
CLASSES = ("flat", "upright", "falling", "rising")

Split = tuple[NDArray[np.float32], NDArray[np.int64]]


@data("stripes", augment="none")
def stripes(images: int = 400, noise: float = 0.2) -> Splits:
    """Grey stripes; their direction is the class.

    Args:
        images: How many the training split has; the test split has a quarter of that.
        noise: Share of each image that is noise.
    """
    return Splits(train=_split(images, noise, seed=0), test=_split(images // 4, noise, seed=1), classes=CLASSES)


def _split(count: int, noise: float, seed: int) -> Split:
    """Images [N, 1, 8, 8] in [0, 1] and their labels [N], equally many of each class."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    along = np.stack([y, x, y - x, y + x])  # what grows across the stripes of each class
    labels = np.arange(count) % len(CLASSES)
    shift = random.integers(0, 4, size=(count, 1, 1))
    pixels = (1 - noise) * ((along[labels] + shift) % 4 < 2) + noise * random.random((count, SIZE, SIZE))
    return pixels[:, None].astype(np.float32), labels
