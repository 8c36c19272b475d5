"""Images in memory: uint8 tensors on the device, split, normalised and augmented as batched tensor work."""

from prunetui.engine.data.images import Dataset, Images
from prunetui.engine.data.load import load_dataset

__all__ = ["Dataset", "Images", "load_dataset"]
