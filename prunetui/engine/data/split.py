"""Which images of a data set a study uses, and which of them it holds out for choices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prunetui.data.stratified import Index, stratified

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
