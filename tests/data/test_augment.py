"""Resized crops: boxes as torchvision draws them, and what is cut out."""

from __future__ import annotations

import torch
from torchvision.transforms.v2 import functional as their

from prunetui.engine.data.augment import _all_at_once, drawn, drawn_boxes, resized_crop


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_boxes_lie_in_the_image_and_have_areas_and_ratios_of_all_sizes() -> None:
    left, top, width, height = drawn_boxes(5000, seeded()).double().unbind(1)
    assert float(torch.stack([left, top]).min()) >= 0
    assert float(torch.stack([left + width, top + height]).max()) <= 1 + 1e-6
    area, ratio = width * height, width / height
    assert 0.08 <= float(area.min()) < 0.1
    assert 0.95 < float(area.max()) <= 1
    assert 0.74 < float(ratio.min()) < 0.76 < 1.32 < float(ratio.max()) < 1.34
    assert abs(float(ratio.log().mean())) < 0.01
    inner = (left / (1 - width))[width < 0.9]
    assert abs(float(inner.mean()) - 0.5) < 0.02


def test_a_box_is_cut_out_and_resized_as_torchvision_does() -> None:
    images = torch.randint(0, 256, (3, 3, 20, 20), dtype=torch.uint8, generator=seeded())
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 1.0, 1.0], [0.75, 0.5, 0.25, 0.5]])
    found = resized_crop(images, boxes)
    for image, cut, (left, top, width, height) in zip(images, found, boxes.tolist(), strict=True):
        place = [round(20 * side) for side in (top, left, height, width)]
        assert torch.equal(cut, their.resized_crop(image, *place, size=[20, 20], antialias=True))
    assert torch.equal(found[1], images[1])


def test_a_gpu_cuts_out_all_at_once_to_within_rounding() -> None:
    """On whole pixels; borders are clamped alike."""
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=seeded())
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    together, single = _all_at_once(images, boxes), resized_crop(images, boxes).float()
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert float((together - single)[inside].abs().max()) <= 1


def test_flips_come_after_the_crop_and_shifts_are_not_drawn_for_it() -> None:
    images = torch.arange(4, dtype=torch.uint8).expand(8, 1, 4, 4)
    found = drawn("resized-crop+flip", 8, 4, seeded(), torch.device("cpu"))
    assert found.pad == 0
    assert found.flips is not None
    assert 0 < int(found.flips.sum()) < 8
    falling = (found.apply(images, slice(0, 8))[:, 0, 0].int().diff(dim=1) < 0).any(1)
    assert torch.equal(falling, found.flips)
