"""What networks are trained and measured on: a study's [data] table becomes a source of batches.

The names below are imported when they are asked for: processes that decode images need no torch, and start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prunetui.data.tree.wanted import Wanted
    from prunetui.engine.data.images import Dataset, Images
    from prunetui.engine.data.loaded import LoadedSource, network_shape
    from prunetui.engine.data.source_loader import load_dataset, load_source

__all__ = ["Dataset", "Images", "LoadedSource", "Wanted", "load_dataset", "load_source", "network_shape"]
_PLACES = {
    "Dataset": "images",
    "Images": "images",
    "LoadedSource": "loaded",
    "load_dataset": "source_loader",
    "load_source": "source_loader",
    "network_shape": "loaded",
}


def __getattr__(name: str) -> object:
    if name == "Wanted":
        return import_module("prunetui.data.tree.wanted").Wanted
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
