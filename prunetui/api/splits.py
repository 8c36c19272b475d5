"""What a data set is for a contribution: images and labels of each split, or examples of any kind, prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Splits:
    """The splits of a data set.

    **Images with labels** are a pair of images [N, C, H, W] and labels [N], as tensors or arrays, or a map-style
    dataset: something with a length whose items are ``(image, label)``, an image being a tensor or array [C, H, W], or
    one of Pillow's. Images are uint8, or floats in [0, 1]; they are resized, normalised and augmented as studies say.

    **Prepared examples** (``prepared=True``) are anything else, and go to the network as they are. All splits are one
    of these:

    - tensors or arrays of any type and shape [N, ...], in a tuple or a mapping: ``(inputs, targets)``,
      ``{"input_ids": ..., "labels": ...}``, or one tensor alone;
    - map-style datasets whose items are of any structure. They are asked for their items in every epoch, so items may
      be drawn at random: torch, numpy and ``random`` are seeded before each, by the study's seed and the epoch;
    - ``torch.utils.data.DataLoader``, which keep their own batches and order.

    What of a batch goes into the network is for the task to say.
    """

    train: Any
    test: Any
    """Touched once, at the end of a trial."""
    validation: Any = None
    """For choices; without it the study holds out a part of the training examples."""
    classes: Sequence[str] | None = None
    """Names of the classes by label; default: the labels themselves, where the targets are labels [N] in memory."""
    prepared: bool = False
    """Whether examples go to the network as they are."""
    collate: Callable[[list[Any]], Any] | None = None
    """Makes a batch of prepared items; default: torch's, which stacks tensors in tuples, lists and mappings."""
