"""How a saved net tells which layers share filters: beside the weight lie the labels, the filter of each output."""

from __future__ import annotations

from collections.abc import Iterable

SUFFIX = ".labels"


def labels_of(layer: str) -> str:
    """The name of a layer's labels."""
    return f"{layer}{SUFFIX}"


def sharing_layers(names: Iterable[str]) -> frozenset[str]:
    """The layers that share filters, by the names of a net's tensors."""
    return frozenset(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
