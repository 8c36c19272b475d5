"""torchvision's windowed attention (Swin, versions 1 and 2) with heads of a width of their own, so that heads can go.

Liu et al. 2021, arXiv:2103.14030, and 2022, arXiv:2111.09883. Imported where a network has such layers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

FAR = -100.0
"""Added to scores between places that only the shift put side by side, as torchvision does."""


class _Windows(ShiftedWindowAttention):  # type: ignore[misc]
    """What both versions share: images [batch, height, width, channels] in, the same out."""

    head_dim: int

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        high, wide = self.window_size
        x = F.pad(x, (0, 0, 0, -width % wide, 0, -height % high))
        full = x.shape[1:3]
        shifts = [0 if w >= size else s for s, w, size in zip(self.shift_size, self.window_size, full, strict=True)]
        if any(shifts):
            x = torch.roll(x, (-shifts[0], -shifts[1]), (1, 2))
        q, k, v = self._heads(self._in_windows(x))
        scores = self._scores(q, k) + self.get_relative_position_bias()
        if any(shifts):
            windows = scores.view(batch, -1, *scores.shape[1:]) + self._apart(x, shifts)[:, None]
            scores = windows.flatten(0, 1)
        weights = F.dropout(scores.softmax(-1), self.attention_dropout, self.training)
        made = self.proj((weights @ v).transpose(1, 2).flatten(2))
        made = F.dropout(made, self.dropout, self.training)
        made = made.view(batch, full[0] // high, full[1] // wide, high, wide, -1).transpose(2, 3)
        made = made.reshape(batch, *full, -1)
        if any(shifts):
            made = torch.roll(made, shifts, (1, 2))
        return made[:, :height, :width].contiguous()

    def _in_windows(self, x: Tensor) -> Tensor:
        """[batch, height, width, channels] as [batch * windows, places of a window, channels]."""
        high, wide = self.window_size
        x = x.reshape(len(x), x.shape[1] // high, high, x.shape[2] // wide, wide, -1).transpose(2, 3)
        return x.reshape(-1, high * wide, x.shape[-1])

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of every head, [windows, heads, places, width]."""
        made: Tensor = self.qkv(x)
        made = made.view(*made.shape[:2], 3, self.num_heads, self.head_dim)
        return made.permute(2, 0, 3, 1, 4).unbind(0)

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        scores: Tensor = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        return scores

    def _apart(self, x: Tensor, shifts: list[int]) -> Tensor:
        """What is added to the scores of each window [windows, places, places]."""
        sides = []
        for size, window, shift in zip(x.shape[1:3], self.window_size, shifts, strict=True):
            place = torch.arange(size, device=x.device)
            sides.append(((place >= size - window).int() + (place >= size - shift).int()) * (shift > 0))
        region = (3 * sides[0][:, None] + sides[1])[None, :, :, None]
        region = self._in_windows(region)[:, :, 0]
        return torch.where(region[:, None] == region[:, :, None], 0.0, FAR).to(x.dtype)


class OwnHeadsWindows(_Windows):
    """``ShiftedWindowAttention`` of ``num_heads`` heads of width ``head_dim``."""


class OwnHeadsWindowsV2(_Windows, ShiftedWindowAttentionV2):  # type: ignore[misc]
    """``ShiftedWindowAttentionV2``: cosines as scores, and keys without a bias."""

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k, v = super()._heads(x)
        if self.qkv.bias is not None:
            k = k - self.qkv.bias.view(3, self.num_heads, 1, self.head_dim)[1]
        return q, k, v

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scale: Tensor = self.logit_scale
        return cosines * scale.clamp(max=math.log(100.0)).exp()


KINDS = {ShiftedWindowAttention: OwnHeadsWindows, ShiftedWindowAttentionV2: OwnHeadsWindowsV2}


def own_heads(module: ShiftedWindowAttention) -> None:
    """Make a module one of these classes, in place."""
    kind = KINDS[type(module)]
    module.head_dim = module.qkv.out_features // (3 * module.num_heads)
    module.__class__ = kind
