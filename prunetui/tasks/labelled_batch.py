"""Batches of examples that have a label each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from prunetui.api import Batch
from prunetui.errors import TrialError

NAMES = ("labels", "label")


def inputs_and_labels(batch: Batch) -> tuple[Any, Tensor]:
    """What goes into the network, and the labels, int64 [B]: a pair, or a mapping with the labels among its entries.

    Raises:
        TrialError: the batch is neither, or its labels are not whole numbers [B].
    """
    if isinstance(batch, Mapping):
        name = next((name for name in NAMES if name in batch), None)
        inputs: Any = {key: value for key, value in batch.items() if key != name}
        labels = batch[name] if name else None
    elif isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, labels = batch
    else:
        inputs, labels = batch, None
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point():
        got = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, Tensor) else type(batch).__name__
        raise TrialError(
            f"a batch of classification is a pair of inputs and labels [B], or a mapping with labels; this has {got}"
        )
    return inputs, labels if labels.dtype == torch.int64 else labels.long()
