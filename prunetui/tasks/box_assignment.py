"""Which places of a map are to find which box, as FCOS has it (Tian et al. 2019, arXiv:1904.01355).

No shape depends on how many boxes there are, so that a CUDA graph can repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RADIUS = 1.5
"""Places so many strides from the middle of a box at most find it (center sampling, in FCOS's own repository)."""


@dataclass(frozen=True)
class Assigned:
    """What each of P places of B images is to find."""

    found: Tensor
    """Whether it is to find a box, bool [B, P]."""
    classes: Tensor
    """Of that box, int64 [B, P]; 0 where there is none."""
    boxes: Tensor
    """x1, y1, x2, y2 in pixels, [B, P, 4]."""


def middles(height: int, width: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """The middle (x, y) of each place of a map in pixels of an image of ``size`` (H, W), [height * width, 2]."""
    y = (torch.arange(height, device=device) + 0.5) * (size[0] / height)
    x = (torch.arange(width, device=device) + 0.5) * (size[1] / width)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(0, 1)


def boxes_around(middle: Tensor, distances: Tensor) -> Tensor:
    """x1, y1, x2, y2 [..., 4] from middles [..., 2] and distances to the left, top, right and bottom [..., 4]."""
    return torch.cat([middle - distances[..., :2], middle + distances[..., 2:]], -1)


def assigned(middle: Tensor, stride: tuple[float, float], boxes: Tensor) -> Assigned:
    """What each of the ``middle`` [P, 2] is to find of ``boxes`` [B, K, 5], whose rows of a class below 0 are padding.

    A place finds the smallest of the boxes that it lies in, not far from their middle. Unlike FCOS, a box is also found
    by the place that its middle lies in, whose own middle may lie outside: no box is too thin to be found. ``stride``
    is how many pixels a place is wide and high.
    """
    if not boxes.shape[1]:
        boxes = boxes.new_tensor([0.0, 0.0, 0.0, 0.0, -1.0]).expand(len(boxes), 1, 5)
    low, high = boxes[:, None, :, :2], boxes[:, None, :, 2:4]  # [B, 1, K, 2]
    point = middle[None, :, None]
    beside = ((low + high) / 2 - point).abs()
    away = torch.stack([beside[..., 0] / stride[0], beside[..., 1] / stride[1]], -1)  # [B, P, K, 2]
    inside = ((point > low) & (point < high) & (away < RADIUS)).all(-1)
    candidate = (inside | (away <= 0.5).all(-1)) & (boxes[:, None, :, 4] >= 0)
    area = (high - low).prod(-1).expand_as(candidate)
    smallest = torch.where(candidate, area, torch.inf).argmin(2)
    chosen = boxes.gather(1, smallest[..., None].expand(-1, -1, 5))
    return Assigned(candidate.any(2), chosen[..., 4].clamp(min=0).long(), chosen[..., :4])
