"""From dense maps to the boxes of each image: the best places, without those that overlap a better one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from prunetui.tasks.box_assignment import boxes_around, middles

CANDIDATES = 1000
"""Boxes of an image at most, the best ones, that are looked at for overlaps, as in FCOS."""


@dataclass(frozen=True)
class BoxFilter:
    """Which boxes of an image are given."""

    score: float
    """Those that are at least so likely."""
    overlap: float
    """Those whose intersection over union with a likelier box of the same class is at most this."""
    most: int = 100
    """So many at most: the mean average precision of COCO looks at no more."""


def found_boxes(scores: Tensor, distances: Tensor, size: tuple[int, int], which: BoxFilter) -> list[dict[str, Tensor]]:
    """``boxes`` [n, 4], ``scores`` [n] and ``labels`` [n] of each image, as torchvision's detectors give them.

    Args:
        scores: Logits [B, classes, h, w].
        distances: From the middles of places to the sides of boxes in pixels, [B, 4, h, w].
        size: Of the images (H, W).
    """
    middle = middles(scores.shape[2], scores.shape[3], size, scores.device)
    likely = scores.sigmoid().flatten(2).movedim(1, 2)  # [B, P, classes]
    boxes = boxes_around(middle, distances.flatten(2).movedim(1, 2))
    return [_of_image(*one, size, which) for one in zip(likely, boxes, strict=True)]


def _of_image(likely: Tensor, boxes: Tensor, size: tuple[int, int], which: BoxFilter) -> dict[str, Tensor]:
    best, index = likely.flatten().topk(min(CANDIDATES, likely.numel()))
    index = index[best >= which.score]
    labels = index % likely.shape[1]
    found = clip_boxes_to_image(boxes[index // likely.shape[1]], size)
    best = best[: len(index)]
    kept = batched_nms(found, best, labels, which.overlap)[: which.most]
    return {"boxes": found[kept], "scores": best[kept], "labels": labels[kept]}
