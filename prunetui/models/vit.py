"""A vision transformer for small images (Dosovitskiy et al. 2021, arXiv:2010.11929), without a class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import Positive, model
from prunetui.models.transformer_block import DEVIATION, blocks, initialise


class VisionTransformer(nn.Module):
    """Patches become tokens; the mean over them makes the classes (Beyer et al. 2022, arXiv:2205.01580)."""

    def __init__(self, channels: int, classes: int, size: int, width: int, patch: int, depth: int, heads: int) -> None:
        super().__init__()
        self.more = -size % patch
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(torch.zeros(1, ((size + self.more) // patch) ** 2, width))
        self.blocks = blocks(depth, width, heads, causal=False)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, classes)
        initialise(self)
        nn.init.normal_(self.positions, std=DEVIATION)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, channels, size, size] -> logits [B, classes]."""
        if self.more:
            x = F.pad(x, (0, self.more, 0, self.more))
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.linear(self.norm(self.blocks(tokens)).mean(1))
        return logits


@model("vit", source="Dosovitskiy et al. 2021, arXiv:2010.11929", proved=True)
def vit(
    channels: int, classes: int, size: int, width: int = 64, patch: Positive = 4, depth: Positive = 6,
    heads: Positive = 4,
) -> nn.Module:  # fmt: skip
    """A pre-norm vision transformer whose head reads the mean over tokens.

    Args:
        patch: Side of a patch in pixels; images are padded with zeros at the right and below to a multiple of it.
        depth: How many blocks.
        heads: Heads of each attention; they share the width.
    """
    return VisionTransformer(channels, classes, size, width, patch, depth, heads)
