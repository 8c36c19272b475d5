"""What a data set is for a contribution: images and labels of each split, or map-style datasets that give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Splits:
    """The splits of a data set.

    A split is a pair of images [N, C, H, W] and labels [N], as tensors or arrays, or a map-style dataset: something
    with a length whose items are ``(image, label)``, an image being a tensor or array [C, H, W], or one of Pillow's.
    Images are uint8, or floats in [0, 1].
    """

    train: Any
    test: Any
    """Touched once, at the end of a trial."""
    validation: Any = None
    """For choices; without it the study holds out a part of the training images."""
    classes: Sequence[str] | None = None
    """Names of the classes by label; default: the labels themselves."""
