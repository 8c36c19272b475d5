"""Detection: a network finds boxes in images, and says of each how likely it shows which class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from prunetui.api import Accumulator, Batch, Evaluation, Metric, Network, Share, Task, TrialError, called, task
from prunetui.metrics import LOSS
from prunetui.tasks.average_precision import AveragePrecision, check_packages
from prunetui.tasks.box_assignment import assigned, boxes_around, middles
from prunetui.tasks.found_boxes import BoxFilter, found_boxes
from prunetui.tasks.library_detector import boxes_given, own_losses, takes_targets

MAP = Metric(
    "map", "mAP", "%", noun="precision",
    about="Average precision of boxes, as the mean over classes and over overlaps from 0.5 to 0.95, as COCO has it",
)  # fmt: skip
MAP50 = Metric("map50", "mAP50", "%", about="Average precision of boxes that overlap by a half at least, over classes")
SCORES, DISTANCES = "scores", "distances"
WANTED = (
    "a network for detection gives a mapping of the logits `scores` [B, classes, h, w] and `distances` [B, 4, h, w] "
    "from the middles of places to the sides of their boxes"
)


@task("detection", primary="map")
class Detection(Task):
    """Boxes with classes, by the focal loss and the generalised IoU, as FCOS; needs `prunetui[detection]`.

    A batch is images [B, C, H, W] and boxes [B, K, 5], rows of x1, y1, x2, y2 in pixels and a class; a row of a class
    below 0 is none. A network gives two maps by name: logits ``scores`` [B, classes, h, w], and ``distances`` in pixels
    [B, 4, h, w] from the middles of the h x w places of an image to the left, top, right and bottom of a box. One whose
    forward takes ``targets``, as torchvision's detectors do, finds boxes and computes losses itself; its class 0 is the
    background, so that boxes have classes from 1 on.

    The losses are those of FCOS (Tian et al. 2019, arXiv:1904.01355) without centerness: the focal loss (Lin et al.
    2017, arXiv:1708.02002, alpha 0.25, gamma 2) of all places, and the generalised IoU (Rezatofighi et al. 2019,
    arXiv:1902.09630) of those that are to find a box, both divided by the number of these.
    """

    measures = (MAP, MAP50)

    def __init__(self, score: Share = 0.05, overlap: Share = 0.6) -> None:
        """
        Args:
            score: Boxes that are less likely are not given.
            overlap: Of two boxes of a class whose intersection over union is larger, the likelier one is given.
        """
        check_packages()
        self.filter = BoxFilter(score, overlap)

    def loss(self, model: Network, batch: Batch) -> Tensor:
        images, boxes = _pair(batch)
        if takes_targets(model):
            return own_losses(model, images, rows_of(boxes))
        scores, distances = maps_of(called(model, images))
        return dense_loss(scores, distances, boxes, _size(images))

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        images, boxes = _pair(batch)
        outputs = called(model, images)
        given = boxes_given(outputs)
        found = found_boxes(*maps_of(outputs), _size(images), self.filter) if given is None else given
        accumulator.keep(MAP.key, AveragePrecision).add(found, rows_of(boxes))

    def evaluate(self, model: Network, evaluation: Evaluation) -> Mapping[str, float | None]:
        """A network that computes its own losses is computed once more for them."""
        if not takes_targets(model):
            return super().evaluate(model, evaluation)
        accumulator, losses = Accumulator(), Accumulator()
        for batch in evaluation.batches():
            self.metrics(model, batch, accumulator)
            if evaluation.loss:
                losses.mean(LOSS.key, self.loss(model, batch).expand(len(batch[0])))
        return {LOSS.key: losses.means().get(LOSS.key), **self.figures(accumulator)}

    def training_metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """None: precision is of all boxes of a split, sorted, and would take longer than a step."""

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        """In percent; not a number where no image has a box."""
        precision = accumulator.kept.get(MAP.key)
        if precision is None:
            return {}
        mean, at_half = precision.figures()
        return {MAP.key: 100 * mean, MAP50.key: 100 * at_half}

    def check_outputs(self, outputs: Any, examples: int, classes: int | None) -> str:
        given, found = boxes_given(outputs), _maps(outputs)
        if given is not None:
            return "" if len(given) == examples else f"gives boxes of {len(given)} images for {examples}"
        if found is None:
            return f"gives {_told(outputs)}; {WANTED}"
        scores, distances = found
        right = len(scores) == examples and classes in (None, scores.shape[1])
        if right and distances.shape == (examples, 4, *scores.shape[2:]):
            return ""
        return f"gives {_told(outputs)} of {examples} images{f' of {classes} classes' if classes else ''}; {WANTED}"


def dense_loss(scores: Tensor, distances: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The focal loss of logits [B, classes, h, w] and the GIoU loss of distances [B, 4, h, w] for boxes [B, K, 5].

    Raises:
        TrialError: there is a box of a class that the network does not know, or one that is no box. On a GPU that is
            not looked at.
    """
    _, classes, height, width = scores.shape
    if boxes.device.type == "cpu":
        check_boxes(boxes, classes)
    middle = middles(height, width, size, boxes.device)
    wanted = assigned(middle, (size[1] / width, size[0] / height), boxes)
    hot = F.one_hot(wanted.classes, classes) * wanted.found[..., None]
    logits = scores.float().flatten(2).movedim(1, 2)
    count = wanted.found.sum().clamp(min=1)
    focal = sigmoid_focal_loss(logits, hot.to(logits.dtype), reduction="sum")
    given = boxes_around(middle, distances.float().flatten(2).movedim(1, 2))
    there = torch.where(wanted.found[..., None], wanted.boxes, given.detach())
    apart = generalized_box_iou_loss(given, there) * wanted.found
    total: Tensor = (focal + apart.sum()) / count
    return total


def check_boxes(boxes: Tensor, classes: int) -> None:
    """
    Raises:
        TrialError: a row of [B, K, 5] that is no padding is no box of one of so many classes.
    """
    there = boxes[~(boxes[..., 4] < 0)]
    kinds = there[:, 4]
    if bool((kinds >= classes).any()):
        raise TrialError(f"a box has the class {int(kinds.max())}, and the network tells {classes} apart, from 0")
    if wrong := there[~(kinds == kinds.floor())].tolist():
        raise TrialError(f"a box has the class {wrong[0][4]:g}; a class is a whole number from 0, below 0 is padding")
    if wrong := there[~(there[:, 2:4] >= there[:, :2]).all(1)].tolist():
        told = ", ".join(f"{value:g}" for value in wrong[0][:4])
        raise TrialError(f"a box is ({told}); it is x1, y1, x2, y2 in pixels, with x1 <= x2 and y1 <= y2")


def rows_of(boxes: Tensor) -> list[dict[str, Tensor]]:
    """``boxes`` [n, 4] and ``labels`` [n] of each image, without padding."""
    rows = [of_image[of_image[:, 4] >= 0] for of_image in boxes]
    return [{"boxes": own[:, :4], "labels": own[:, 4].long()} for own in rows]


def maps_of(outputs: Any) -> tuple[Tensor, Tensor]:
    """Logits and distances.

    Raises:
        TrialError: the network gives something else.
    """
    found = _maps(outputs)
    if found is None:
        raise TrialError(f"the network gives {_told(outputs)}; {WANTED}")
    return found


def _maps(outputs: Any) -> tuple[Tensor, Tensor] | None:
    if not isinstance(outputs, Mapping):
        return None
    scores, distances = outputs.get(SCORES), outputs.get(DISTANCES)
    if not (isinstance(scores, Tensor) and isinstance(distances, Tensor) and scores.dim() == distances.dim() == 4):
        return None
    return scores, distances


def _told(outputs: Any) -> str:
    if isinstance(outputs, Tensor):
        return str(list(outputs.shape))
    if not isinstance(outputs, Mapping):
        return type(outputs).__name__
    return ", ".join(f"{key} {_told(value)}" for key, value in outputs.items()) or "an empty mapping"


def _pair(batch: Batch) -> tuple[Tensor, Tensor]:
    """Images and boxes of a batch.

    Raises:
        TrialError: it is something else.
    """
    images, boxes = batch
    if not isinstance(boxes, Tensor):
        raise TrialError(f"boxes are {type(boxes).__name__}; detection takes one tensor [B, K, 5] for a batch")
    if boxes.dim() != 3 or boxes.shape[-1] != 5:
        raise TrialError(
            f"boxes are {list(boxes.shape)}; detection takes [B, K, 5], rows of x1, y1, x2, y2 in pixels and a class, "
            "which is below 0 where there is no box"
        )
    return images, boxes.float()


def _size(images: Tensor) -> tuple[int, int]:
    height, width = images.shape[-2:]
    return height, width
