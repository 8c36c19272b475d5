"""Images to measure on: handwritten digits as 32x32 colour images, as many as wanted, so that nothing is downloaded."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from prunetui.config import DataTable
from prunetui.engine.data import Dataset, Images, load_dataset

SIZE = 32


def colour_digits(train: int, test: int) -> Dataset:
    """scikit-learn's digits enlarged to 3x32x32 and repeated; cropped and flipped in training as CIFAR-10 is."""
    digits = load_dataset(DataTable(validation=0.0))
    return Dataset(
        name="colour digits",
        classes=digits.classes,
        train=_enlarged(digits.train, train),
        validation=_enlarged(digits.train, 0),
        test=_enlarged(digits.test, test),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        augment="crop+flip",
        fingerprint="",
    )


def _enlarged(images: Images, count: int) -> Images:
    index = torch.arange(count) % len(images)
    large = F.interpolate(images.pixels.float(), SIZE, mode="bilinear").clamp(0, 255).to(torch.uint8)
    return Images(large.expand(-1, 3, -1, -1)[index].contiguous(), images.labels[index])
