"""Segmentation without a download: the digits that ship with scikit-learn, placed on noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Factor, Positive, Splits, data
from prunetui.data.digit_scenes import draw_scenes, of_both_splits


@data("digits-on-noise", images=(1437, 360))
def digits_on_noise(side: Positive = 32, digits: Positive = 3, noise: Factor = 0.3) -> Splits:
    """Made-up scenes of real handwritten digits on Gaussian noise; classes are the background and the ten digits.

    Each of the 1,797 digits of scikit-learn, twice as large as it is there, lies in one image beside others of its
    split, at random places; later ones cover earlier ones. 360 images are the test split, of digits that no training
    image shows.

    Args:
        side: Side of an image in pixels.
        digits: How many lie in an image.
        noise: Standard deviation of the noise, where ink is 1.
    """
    train, test = of_both_splits(lambda drawn, labels, seed: with_masks(drawn, labels, side, digits, noise, seed), side)
    return Splits(train=train, test=test, classes=("background", *"0123456789"), prepared=True)


def with_masks(
    drawn: NDArray[np.float64], labels: NDArray[np.int64], side: int, digits: int, noise: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Normalised images float32 [N, 1, side, side] and masks int64 [N, side, side] of digits [N, 8, 8] in [0, 1]."""
    scenes = draw_scenes(drawn, labels, side, digits, noise, seed)
    image = np.arange(len(scenes.owner))[:, None, None]
    return scenes.images, np.where(scenes.owner >= 0, scenes.labels[image, scenes.owner] + 1, 0)
