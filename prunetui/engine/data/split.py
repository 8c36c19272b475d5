"""Stratified choices of images: every class gives its share, and a seed fixes which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
SPLIT_SEED = 0
"""The split is part of the data, not of a repetition: all seeds see the same one."""


@dataclass(frozen=True)
class Drawn:
    """Which images are used, by their index; all ascending."""

    train: Index
    """Training images, of which ``held`` and ``kept`` are the two parts."""
    held: Index
    kept: Index
    test: Index


def draw(train: Index, test: Index, limit: int | None, validation: float) -> Drawn:
    """Choose images by the labels of both splits, and hold out some for validation.

    A limit draws the same classes in both splits: where it is too small to give every class an image to train on,
    as many classes as it can, of those that have test images. However rare, each of these classes gives an image to
    train on and, where it has one, an image to test. No class is held out altogether.
    """
    all_train, all_test = np.arange(len(train)), np.arange(len(test))
    if limit is not None and limit < len(train):
        classes = _classes_within(train, test, limit - round(validation * limit))
        all_train = np.flatnonzero(np.isin(train, classes))
        all_train = all_train[stratified(train[all_train], min(limit, len(all_train)), SPLIT_SEED, least=1)[0]]
    labels = train[all_train]
    held, kept = stratified(labels, round(validation * len(labels)), SPLIT_SEED) if len(labels) else (labels, labels)
    held, kept = _none_held_out_alone(labels, held, kept)
    if limit is not None and limit < max(len(train), len(test)):
        if len(train):
            all_test = np.flatnonzero(np.isin(test, labels[kept]))
        if limit < len(all_test):
            all_test = all_test[stratified(test[all_test], limit, SPLIT_SEED, least=1)[0]]
    return Drawn(all_train, all_train[held], all_train[kept], all_test)


def _classes_within(train: Index, test: Index, room: int) -> Index:
    """All classes, or as many as there is room for, drawn from those that both splits have."""
    classes = np.unique(train)
    if len(classes) <= room:
        return classes
    both = np.intersect1d(classes, test)
    candidates = both if len(both) else classes
    return np.sort(np.random.default_rng(SPLIT_SEED).permutation(candidates)[: max(1, room)])


def _none_held_out_alone(labels: Index, held: Index, kept: Index) -> tuple[Index, Index]:
    """Give back an image of each class that would be in the validation split alone."""
    alone = np.setdiff1d(labels[held], labels[kept])
    back = [held[labels[held] == label][0] for label in alone]
    if not back:
        return held, kept
    return np.setdiff1d(held, back), np.sort(np.append(kept, back))


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
