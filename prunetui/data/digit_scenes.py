"""Scenes that are drawn: real handwritten digits of scikit-learn, placed at random on Gaussian noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from prunetui.data.digits import TEST, read_digits
from prunetui.data.stratified import stratified
from prunetui.errors import DataError

DIGIT = 16
"""Side of a digit in pixels: twice its own."""
INK = 4 / 16
"""The grey level from which a pixel belongs to a digit."""
MEAN, DEVIATION = 0.1, 0.4
"""About those of the pixels, by which they are normalised."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Scenes:
    """N images, in which at most L digits lie, one above the other."""

    images: NDArray[np.float32]
    """Normalised, [N, 1, side, side]."""
    labels: NDArray[np.int64]
    """The digits from the lowest to the highest, [N, L]; -1 where an image has fewer."""
    boxes: NDArray[np.int64]
    """Around the ink of each, hidden or not, [N, L, 4]: left, top, and the first column and row behind it."""
    seen: NDArray[np.float64]
    """The part of the ink of each that no later digit covers, [N, L]; 0 where there is no digit."""
    owner: NDArray[np.int64]
    """Whose ink a pixel shows, [N, side, side]: an index from 0 to L - 1, or -1 for the background."""


def of_both_splits(make: Callable[[NDArray[np.float64], NDArray[np.int64], int], Made], side: int) -> tuple[Made, Made]:
    """What ``make(digits [N, 8, 8] in [0, 1], labels [N], seed)`` draws of the training and of the test digits.

    Raises:
        DataError: a digit is larger than an image.
    """
    if side < DIGIT:
        raise DataError(f"data.options.side = {side}: a digit has {DIGIT} pixels a side, images as many at least")
    images, labels = read_digits()
    test, train = stratified(labels, TEST, seed=0)
    first, second = (
        make(images[split].reshape(-1, 8, 8) / 16, labels[split], seed) for seed, split in enumerate((train, test))
    )
    return first, second


def draw_scenes(
    drawn: NDArray[np.float64], labels: NDArray[np.int64], side: int, digits: int, noise: float, seed: int,
    fewest: int | None = None,
) -> Scenes:  # fmt: skip
    """One scene for each of the digits [N, 8, 8] in [0, 1], which lies above the others in it.

    Each has ``digits`` of them, or from ``fewest`` to so many, all numbers alike often.
    """
    random = np.random.default_rng(seed)
    count = len(drawn)
    large = drawn.repeat(2, 1).repeat(2, 2)
    numbers = np.full(count, digits) if fewest is None else random.integers(fewest, digits + 1, size=count)
    ink, owner = np.zeros((count, side, side)), np.full((count, side, side), -1)
    found = np.full((count, digits), -1)
    boxes, inked = np.zeros((count, digits, 4), dtype=np.int64), np.ones((count, digits))
    for layer in range(digits):
        chosen = np.arange(count) if layer == digits - 1 else random.integers(count, size=count)
        corners = random.integers(side - DIGIT + 1, size=(count, 2))
        for i in np.flatnonzero(numbers >= digits - layer):
            top, left = corners[i]
            one, place = large[chosen[i]], (i, slice(top, top + DIGIT), slice(left, left + DIGIT))
            is_ink = one >= INK
            ink[place] = np.where(is_ink, one, ink[place])
            owner[place] = np.where(is_ink, layer, owner[place])
            found[i, layer], inked[i, layer] = labels[chosen[i]], is_ink.sum()
            boxes[i, layer] = around(is_ink) + np.array([left, top, left, top])
    pixels = ink + noise * random.standard_normal(ink.shape)
    images = ((pixels - MEAN) / DEVIATION).astype(np.float32)[:, None]
    shown = (owner[:, None] == np.arange(digits)[:, None, None]).sum((2, 3))
    return Scenes(images, found, boxes, shown / inked, owner)


def around(is_ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The smallest box around what is true in [H, W]: left, top, and the first column and row behind it."""
    rows, columns = np.flatnonzero(is_ink.any(1)), np.flatnonzero(is_ink.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
