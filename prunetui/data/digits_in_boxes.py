"""Detection without a download: the digits that ship with scikit-learn, placed on noise, and the boxes around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunetui.api import Factor, Positive, Share, Splits, data
from prunetui.data.digit_scenes import draw_scenes, of_both_splits

PADDING = -1
"""The class of a row without a box, of images that have fewer than others."""


@data("digits-in-boxes", images=(1437, 360))
def digits_in_boxes(
    side: Positive = 48,
    digits: Positive = 3,
    noise: Factor = 0.3,
    seen: Share = 0.5,
    background: bool = False,
) -> Splits:
    """Made-up scenes of real handwritten digits on Gaussian noise, with a box around the ink of each; ten classes.

    Each of the 1,797 digits of scikit-learn, twice as large as it is there, lies in one image beside others of its
    split, at random places; later ones cover earlier ones. 360 images are the test split, of digits that no training
    image shows. Boxes go with images as rows (x1, y1, x2, y2 in pixels, class) [N, digits, 5], those without a digit
    with class -1. Images are used as they are, in training, too: nothing is cropped or flipped.

    Args:
        side: Side of an image in pixels.
        digits: How many lie in an image at most; from one to so many are equally likely.
        noise: Standard deviation of the noise, where ink is 1.
        seen: A digit of whose ink a smaller part than this is seen has no box.
        background: Whether class 0 is the background, and the digits are 1 to 10, as torchvision's detectors have it.
    """
    train, test = of_both_splits(
        lambda drawn, labels, seed: with_boxes(drawn, labels + background, side, digits, noise, seen, seed), side
    )
    return Splits(train=train, test=test, classes=("background",) * background + tuple("0123456789"), prepared=True)


def with_boxes(
    drawn: NDArray[np.float64], labels: NDArray[np.int64], side: int, digits: int, noise: float, seen: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normalised images float32 [N, 1, side, side] and boxes float32 [N, digits, 5] of digits [N, 8, 8] in [0, 1]."""
    scenes = draw_scenes(drawn, labels, side, digits, noise, seed, fewest=1)
    classes = np.where(scenes.seen >= seen, scenes.labels, PADDING)
    boxes = np.where(classes[..., None] == PADDING, 0, scenes.boxes)
    return scenes.images, np.concatenate([boxes, classes[..., None]], 2).astype(np.float32)
