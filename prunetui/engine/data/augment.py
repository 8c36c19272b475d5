"""What an epoch does to each training image, drawn ahead, and done to whole batches on the device that computes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CROP_PADDING = 1 / 8
"""Zero padding before a random crop, as a fraction of the side: 4 pixels of 32."""
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Of a resized crop: its share of the image's area, and its width by its height (as torchvision has them)."""
ATTEMPTS = 10
"""Boxes that are drawn for an image; if none lies within it, it is taken whole."""
AT_ONCE = 65_536
"""Images whose boxes are drawn at once, for the memory that all attempts take."""


@dataclass(frozen=True)
class Augmentation:
    """Of ``N`` images: ``shifts`` [2, N] in [0, 2 * pad], ``flips`` bool [N], ``boxes`` [N, 4]; None if not asked."""

    pad: int
    shifts: Tensor
    flips: Tensor | None
    boxes: Tensor | None

    def apply(self, pixels: Tensor, place: slice) -> Tensor:
        """The images [B, C, H, W] that have this place in the epoch, changed: uint8 but after a resize on a GPU."""
        if self.boxes is not None:
            pixels = resized_crop(pixels, self.boxes[place])
        elif self.pad:
            pixels = crop(pixels, self.shifts[:, place], self.pad)
        if self.flips is not None:
            pixels = torch.where(self.flips[place].view(-1, 1, 1, 1), pixels.flip(3), pixels)
        return pixels


def drawn(names: str, count: int, size: int, generator: torch.Generator, device: torch.device) -> Augmentation:
    """What happens to ``count`` square images; ``names`` as in ``data.augment``."""
    parts = names.split("+")
    pad = max(1, round(size * CROP_PADDING)) if "crop" in parts else 0
    shifts = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    boxes = drawn_boxes(count, generator).to(device) if "resized-crop" in parts else None
    return Augmentation(pad, shifts.to(device), flips.to(device) if "flip" in parts else None, boxes)


def crop(pixels: Tensor, shifts: Tensor, pad: int) -> Tensor:
    """Shift each image [B, C, H, W] by ``shifts`` [2, B] in [0, 2 * pad]; ``pad`` leaves it where it is.

    Zeros (black) move in, as with ``torchvision.transforms.RandomCrop``.
    """
    size = pixels.shape[-2:]
    windows = F.pad(pixels, (pad, pad, pad, pad)).unfold(2, size[0], 1).unfold(3, size[1], 1)
    index = torch.arange(len(pixels), device=pixels.device)
    return windows[index, :, shifts[0], shifts[1]]


def drawn_boxes(count: int, generator: torch.Generator) -> Tensor:
    """Random boxes in square images [N, 4]: left, top, width and height as fractions of the side.

    As ``torchvision.transforms.RandomResizedCrop`` draws them: the area evenly, the ratio evenly in its logarithm, and
    again where the box is larger than the image.
    """
    found = []
    for first in range(0, count, AT_ONCE):
        shape = (min(AT_ONCE, count - first), ATTEMPTS)
        area = SCALE[0] + (SCALE[1] - SCALE[0]) * torch.rand(shape, generator=generator)
        low, high = (math.log(ratio) for ratio in RATIO)
        ratio = (low + (high - low) * torch.rand(shape, generator=generator)).exp()
        sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 2)  # [N, attempts, 2]
        fits = (sides <= 1).all(2)
        first_fit = fits.int().argmax(1)
        chosen = sides[torch.arange(len(sides)), first_fit]
        chosen = torch.where(fits.any(1, keepdim=True), chosen, torch.ones(()))
        corner = torch.rand((len(sides), 2), generator=generator) * (1 - chosen)
        found.append(torch.cat([corner, chosen], 1))
    return torch.cat(found)


def resized_crop(pixels: Tensor, boxes: Tensor) -> Tensor:
    """The part of each image [B, C, H, W] in its box, as large as the image, by bilinear interpolation.

    On a CPU one by one, of whole pixels to uint8, which takes a part of the time of all at once. On a GPU all at once,
    of any part to float32.
    """
    return _one_by_one(pixels, boxes) if pixels.device.type == "cpu" else _all_at_once(pixels, boxes)


def _one_by_one(pixels: Tensor, boxes: Tensor) -> Tensor:
    size = pixels.shape[-2:]
    edges = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) * torch.tensor([*size[::-1], *size[::-1]])
    found = torch.empty_like(pixels, memory_format=torch.channels_last)
    for i, (left, top, right, bottom) in enumerate(edges.round().long().tolist()):
        part = pixels[i : i + 1, :, top : max(bottom, top + 1), left : max(right, left + 1)]
        part = part.contiguous(memory_format=torch.channels_last)  # for which torch has a kernel of its own
        found[i : i + 1] = F.interpolate(part, list(size), mode="bilinear", antialias=True)
    return found


def _all_at_once(pixels: Tensor, boxes: Tensor) -> Tensor:
    left, top, width, height = boxes.unbind(1)
    nothing = torch.zeros_like(left)
    across = torch.stack([width, nothing, 2 * left + width - 1], 1)
    down = torch.stack([nothing, height, 2 * top + height - 1], 1)
    places = F.affine_grid(torch.stack([across, down], 1), list(pixels.shape), align_corners=False)
    floats = pixels.to(torch.float32)
    return F.grid_sample(floats, places, mode="bilinear", padding_mode="border", align_corners=False)
