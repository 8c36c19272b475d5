"""The forms that a split of prepared examples may have, told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from prunetui.api import Batch
from prunetui.api.source import tensors_in
from prunetui.errors import DataError

FORMS = "tensors or arrays [N, ...] in a tuple or a mapping, a map-style dataset, or a DataLoader"
MOST_CLASSES = 10_000
"""Whole numbers above this are no labels."""


def kind_of(examples: Any, where: str) -> str:
    """``arrays``, ``items`` or ``loaders``.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(examples, DataLoader):
        return "loaders"
    if isinstance(examples, TensorDataset) or is_arrays(examples):
        return "arrays"
    if isinstance(examples, Sized) and hasattr(examples, "__getitem__") and not isinstance(examples, Mapping):
        return "items"
    more = ", which has no length" if isinstance(examples, IterableDataset) else ""
    raise DataError(f"{where}: a prepared split is {FORMS}; this is {type(examples).__name__}{more}")


def is_arrays(examples: Any) -> bool:
    """Whether it is an array, or only arrays in tuples and mappings; a list is one of items."""
    if isinstance(examples, Mapping):
        return bool(examples) and all(map(is_arrays, examples.values()))
    if isinstance(examples, tuple):
        return bool(examples) and all(map(is_arrays, examples))
    return isinstance(examples, Tensor | np.ndarray)


def tensors_of(arrays: Any, where: str) -> Batch:
    """Arrays as tensors, in their structure.

    Raises:
        DataError: they have different numbers of examples, or are not of numbers.
    """

    def made(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: made(part) for key, part in value.items()}
        if isinstance(value, tuple | list):
            return tuple(map(made, value))
        try:
            return value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.asarray(value))
        except TypeError as error:
            raise DataError(f"{where}: {error}") from None

    tensors = made(arrays.tensors if isinstance(arrays, TensorDataset) else arrays)
    lengths = {len(tensor) if tensor.dim() else -1 for tensor in tensors_in(tensors)}
    if len(lengths) != 1 or -1 in lengths:
        shapes = [list(tensor.shape) for tensor in tensors_in(tensors)]
        raise DataError(f"{where}: arrays are {shapes}; the first index of each is that of the example")
    return tensors


def labels_of(split: Batch) -> NDArray[np.int64] | None:
    """The second of a pair, if it may be labels: whole numbers [N]."""
    if not (isinstance(split, tuple) and len(split) == 2 and isinstance(split[1], Tensor)):
        return None
    labels = split[1]
    if labels.dim() != 1 or labels.is_floating_point() or labels.dtype == torch.bool or not len(labels):
        return None
    low, high = int(labels.min()), int(labels.max())
    return labels.long().cpu().numpy() if low >= 0 and high < MOST_CLASSES else None
