"""Stratified choices of images: every class gives its share, and a seed fixes which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], count: int, seed: int, least: int = 0) -> tuple[Index, Index]:
    """Split 0..N-1 into ``count`` chosen and the rest, each class in proportion; both ascending.

    Classes give the whole part of their share and those with the largest remainders one more, so that
    exactly ``count`` are chosen. With ``least`` 1 the largest classes give way to those that would give none, if
    there are not more classes than images to choose.
    """
    random = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * (count / len(labels))
    take = np.floor(shares).astype(int)
    for i in np.argsort(take - shares, kind="stable")[: count - int(take.sum())]:
        take[i] += 1
    if count >= least * len(classes):
        for i in np.flatnonzero(take < least):
            take[i] = least
            take[take.argmax()] -= 1
    chosen = np.zeros(len(labels), dtype=bool)
    for label, number in zip(classes, take, strict=True):
        chosen[random.permutation(np.flatnonzero(labels == label))[:number]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)
