"""Images in memory: uint8 tensors on the device, split, normalised and augmented as batched tensor work.

The names below are imported when they are asked for: processes that decode images need no torch, and start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prunetui.data.tree.wanted import Wanted
    from prunetui.engine.data.dataset_loader import load_dataset
    from prunetui.engine.data.images import Dataset, Images

__all__ = ["Dataset", "Images", "Wanted", "load_dataset"]
_PLACES = {"Dataset": "images", "Images": "images", "load_dataset": "dataset_loader"}


def __getattr__(name: str) -> object:
    if name == "Wanted":
        return import_module("prunetui.data.tree.wanted").Wanted
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
