"""What identifies examples: a digest of their content, of whatever structure they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

PLAIN = (str, bytes, bool, int, float, complex, type(None))


def fingerprint(*values: Any) -> str:
    """Of tensors, arrays, images of Pillow's, texts and numbers in tuples, lists and mappings: their types, shapes,
    names and content; of any other object its class alone."""
    hashed = hashlib.sha256()
    for value in values:
        _add(value, hashed.update)
    return hashed.hexdigest()[:16]


def _add(value: Any, update: Callable[[Any], None]) -> None:
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        try:
            array = tensor.numpy()
        except TypeError:  # bfloat16 and its kin
            array = tensor.double().numpy()
        update(f"tensor {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        update(np.ascontiguousarray(array).data)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        update(f"array {value.dtype} {value.shape}\0".encode())
        update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, PLAIN):
        update(f"{type(value).__name__} {value!r}\0".encode())
    elif isinstance(value, Mapping):
        for key, part in value.items():
            update(f"key {key!r}\0".encode())
            _add(part, update)
    elif isinstance(value, tuple | list):
        update(f"{len(value)} parts\0".encode())
        for part in value:
            _add(part, update)
    elif hasattr(value, "getbands"):  # Pillow's
        update(f"image {value.mode} {value.size}\0".encode())
        update(value.tobytes())
    else:
        update(f"{type(value).__module__}.{type(value).__qualname__}\0".encode())
