"""All tensors of a loaded file by their dotted place in it: ``state_dict.module.conv1.weight``.

Wrappers are no special case then: a name in front of all names of a model is a prefix, whether somebody put it into
the keys or put the keys into a dict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from prunetui.engine.models.file_kind import refused
from prunetui.engine.models.unpickle import Array

DEEPEST = 16
MOST = 1_000_000
Tensors = dict[str, Tensor]


def flattened(loaded: object, path: Path) -> Tensors:
    """Every tensor in nested dicts, lists and tuples; one that stands in several places has the name of the first.

    Raises:
        UsageError: two tensors have the same dotted name, or there are absurdly many.
    """
    found: Tensors = {}
    for name, tensor in _walk(loaded, "", set(), 0):
        if name in found:
            raise refused(path, f"two tensors in it are called {name}")
        found[name] = tensor
        if len(found) > MOST:
            raise refused(path, f"it holds more than {MOST:,} tensors")
    return found


def _walk(value: object, place: str, seen: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Array):
        value = value.tensor()
    if isinstance(value, Tensor):
        if not isinstance(value, UninitializedParameter | UninitializedBuffer):
            yield place, value.detach()
        return
    if not isinstance(value, Mapping | list | tuple) or depth > DEEPEST or id(value) in seen:
        return
    seen.add(id(value))  # a file may hold a dict that holds itself
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in items:
        yield from _walk(inner, f"{place}.{key}" if place else str(key), seen, depth + 1)
