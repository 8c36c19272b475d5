"""JPEG files as photographs are large: a few of 500 x 375 pixels, each linked to as often as wanted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10
DIFFERENT = 40
WIDTH, HEIGHT = 500, 375


def photo_tree(root: Path, train: int, test: int) -> Path:
    """An image tree whose files are links to ``DIFFERENT`` ones of about 80 KB."""
    random = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    sources = []
    for i in range(DIFFERENT):
        sources.append(root / f"{i}.jpg")
        _photo(random).save(sources[-1], quality=90)
    for split, count in (("train", train), ("test", test)):
        for label in range(CLASSES):
            (root / split / f"class{label}").mkdir(parents=True)
        for i in range(count):
            os.link(sources[i % DIFFERENT], root / split / f"class{i % CLASSES}" / f"{i:06}.jpg")
    return root


def _photo(random: np.random.Generator) -> Image.Image:
    """Smooth colours with some grain, which JPEG takes as long to decode as a photograph."""
    coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float64)
    grain = random.normal(0, 8, (HEIGHT, WIDTH, 1))
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
