"""Exported networks, which normalise images themselves, for images that are normalised already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.errors import UsageError
from prunetui.formats.refused import reason


class FromNormalised(nn.Module):
    """An exported network for images that are normalised already, as the data sets here hand them out."""

    mean: Tensor
    std: Tensor

    def __init__(self, run: Callable[[Tensor], Tensor], header: Mapping[str, Any], path: Path) -> None:
        super().__init__()
        self._run_pixels = partial(run)  # not a child: exported modules refuse to change their mode
        self._classes, self._path = header["architecture"]["classes"], path
        self.register_buffer("mean", torch.tensor(header["mean"]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(header["std"]).view(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of images.

        Raises:
            UsageError: the program of the file does not take them, or gives something else.
        """
        try:
            logits = self._run_pixels(inputs * self.std + self.mean)
            shape = tuple(logits.shape)
        except Exception as error:  # noqa: BLE001 - a program from elsewhere raises what its operators raise
            raise UsageError(f"{self._path} cannot be run on these images: {reason(error)}") from None
        if shape != (len(inputs), self._classes) or not logits.is_floating_point():
            wanted = f"[{len(inputs)}, {self._classes}] as it says"
            raise UsageError(f"{self._path} gives {list(shape)} of {len(inputs)} images, not {wanted}")
        return logits
