"""Images in memory: uint8 tensors on the device, split, normalised and augmented as batched tensor work."""

from prunetui.engine.data.images import Dataset, Images
from prunetui.engine.data.load import load_dataset
from prunetui.engine.data.wanted import Wanted

__all__ = ["Dataset", "Images", "Wanted", "load_dataset"]
