"""Segmentation without a download: the digits that ship with scikit-learn, placed on noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Factor, Positive, Splits, data
from prunetui.data.digits import TEST, read_digits
from prunetui.data.stratified import stratified
from prunetui.errors import DataError

DIGIT = 16
"""Side of a digit in pixels: twice its own."""
INK = 4 / 16
"""The grey level from which a pixel belongs to a digit."""
MEAN, DEVIATION = 0.1, 0.4
"""About those of the pixels, by which they are normalised."""


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
    if side < DIGIT:
        raise DataError(f"data.options.side = {side}: a digit has {DIGIT} pixels a side, images as many at least")
    images, labels = read_digits()
    test, train = stratified(labels, TEST, seed=0)
    made = [
        placed(images[split].reshape(-1, 8, 8) / 16, labels[split], side, digits, noise, seed)
        for seed, split in enumerate((train, test))
    ]
    return Splits(train=made[0], test=made[1], classes=("background", *"0123456789"), prepared=True)


def placed(
    drawn: NDArray[np.float64], labels: NDArray[np.int64], side: int, digits: int, noise: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Normalised images float32 [N, 1, side, side] and masks int64 [N, side, side] of digits [N, 8, 8] in [0, 1]."""
    random = np.random.default_rng(seed)
    count = len(drawn)
    large = drawn.repeat(2, 1).repeat(2, 2)
    ink, masks = np.zeros((count, side, side)), np.zeros((count, side, side), dtype=np.int64)
    for layer in range(digits):
        chosen = np.arange(count) if layer == digits - 1 else random.integers(count, size=count)
        corners = random.integers(side - DIGIT + 1, size=(count, 2))
        for i, (one, (top, left)) in enumerate(zip(chosen, corners, strict=True)):
            place = (i, slice(top, top + DIGIT), slice(left, left + DIGIT))
            is_ink = large[one] >= INK
            ink[place] = np.where(is_ink, large[one], ink[place])
            masks[place] = np.where(is_ink, labels[one] + 1, masks[place])
    pixels = ink + noise * random.standard_normal(ink.shape)
    return ((pixels - MEAN) / DEVIATION).astype(np.float32)[:, None], masks
