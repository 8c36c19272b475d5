"""Segmentation: a network gives a logit for each class at each pixel, and the highest one is its guess there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import (
    Accumulator,
    Batch,
    Evaluation,
    Factor,
    Literal,
    Metric,
    Network,
    Task,
    TrialError,
    called,
    logits_of,
    task,
)
from prunetui.tasks.imitation import imitated

MIOU = Metric(
    "miou", "mIoU", "%", noun="overlap",
    about="Pixels of a class found, divided by those found or there, as the mean over classes",
)  # fmt: skip
PIXEL_ACCURACY = Metric("pixel_accuracy", "pixel accuracy", "%", about="Percent of test pixels whose class is right")
AUXILIARY = "aux"
"""What torchvision's networks call the outputs of their auxiliary head."""


@task("segmentation", primary="miou")
class Segmentation(Task):
    """A class for every pixel, by cross-entropy, the Dice loss, or their sum.

    A batch is images [B, C, H, W] and masks [B, H, W] of whole numbers. A network gives logits [B, classes, h, w], as a
    tensor or by the name ``out`` or ``logits``; of another size than the masks they are resized bilinearly. What is
    called ``aux``, as torchvision's networks give it, has a part in the loss and none in the metrics.
    """

    measures = (MIOU, PIXEL_ACCURACY)

    def __init__(
        self,
        ignore_index: int = 255,
        loss: Literal["cross-entropy", "dice", "both"] = "cross-entropy",
        auxiliary: Factor = 0.5,
    ) -> None:
        """
        Args:
            ignore_index: What stands in a mask where the class is not known; such pixels count nowhere.
            loss: `dice` is that of Milletari et al. 2016 (arXiv:1606.04797) over all pixels of a batch; `both` adds it.
            auxiliary: Weight of the loss of what the network calls `aux`.
        """
        self.ignore_index, self.kind, self.auxiliary = ignore_index, loss, auxiliary

    def loss(self, model: Network, batch: Batch) -> Tensor:
        return self.training_loss(model, batch, 0.0)

    def training_loss(self, model: Network, batch: Batch, label_smoothing: float) -> Tensor:
        """Labels are smoothed in the cross-entropy only."""
        images, masks = _pair(batch)
        outputs = called(model, images)
        loss = self._loss_of(logits_of(outputs), masks, label_smoothing)
        more = outputs.get(AUXILIARY) if isinstance(outputs, Mapping) else None
        if isinstance(more, Tensor):
            loss = loss + self.auxiliary * self._loss_of(more, masks, label_smoothing)
        return loss

    def _loss_of(self, logits: Tensor, masks: Tensor, label_smoothing: float) -> Tensor:
        logits = resized(logits, masks)
        known = masks != self.ignore_index
        parts = []
        if self.kind != "dice":
            summed = F.cross_entropy(
                logits, masks, ignore_index=self.ignore_index, label_smoothing=label_smoothing, reduction="sum"
            )
            parts.append(summed / known.sum().clamp(min=1))  # of a batch without any known pixel it is 0
        if self.kind != "cross-entropy":
            parts.append(dice_loss(logits, masks, known))
        return torch.stack(parts).sum()

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        images, masks = _pair(batch)
        logits = resized(logits_of(called(model, images)), masks)
        accumulator.add("confusion", confusion(logits.argmax(1), masks, logits.shape[1], self.ignore_index))

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        """Means over the classes that are there or were found; none while no pixel's class is known."""
        matrix = accumulator.sums["confusion"].double()
        if not bool(matrix.any()):
            return {}
        right, either = matrix.diagonal(), matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
        overlaps = (right / either)[either > 0]
        return {MIOU.key: 100 * float(overlaps.mean()), PIXEL_ACCURACY.key: 100 * float(right.sum() / matrix.sum())}

    def evaluate(self, model: Network, evaluation: Evaluation) -> Mapping[str, float | None]:
        """
        Raises:
            TrialError: no pixel's class is known.
        """
        found = super().evaluate(model, evaluation)
        if MIOU.key not in found:
            raise TrialError(
                f"no pixel of these masks has a class that is known: all are the task's ignore_index, "
                f"{self.ignore_index}, so there is no {MIOU.title} of them"
            )
        return found

    def imitation(self, loss: Tensor, outputs: Any, taught: Any, weight: float, temperature: float) -> Tensor:
        """As for classification, of every pixel, whether its class is known or not."""
        ours, theirs = (logits_of(given).movedim(1, -1).flatten(0, -2) for given in (outputs, taught))
        return imitated(loss, ours, theirs, weight, temperature)

    def check_outputs(self, outputs: Any, examples: int, classes: int | None) -> str:
        logits = logits_of(outputs)
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(outputs).__name__
        if isinstance(shape, list) and len(shape) == 4 and shape[0] == examples and classes in (None, shape[1]):
            return ""
        return (
            f"gives {shape} of {examples} images{'' if classes is None else f' of {classes} classes'}; a network for "
            f"segmentation gives logits of every pixel, here [{examples}, {classes or 'classes'}, height, width]"
        )


def _pair(batch: Batch) -> tuple[Any, Tensor]:
    """Images and int64 masks of a batch.

    Raises:
        TrialError: it is something else.
    """
    images, masks = batch
    if masks.dim() != 3 or masks.is_floating_point():
        kind = str(masks.dtype).removeprefix("torch.")
        raise TrialError(f"masks are {list(masks.shape)} of {kind}; segmentation takes whole numbers [B, H, W]")
    return images, masks.long()


def resized(logits: Tensor, masks: Tensor) -> Tensor:
    """Logits [B, classes, H, W] in float32, as large as masks [B, H, W].

    Raises:
        TrialError: they are not of pixels.
    """
    if logits.dim() != 4 or len(logits) != len(masks):
        raise TrialError(
            f"the network gives {list(logits.shape)} for masks {list(masks.shape)}; one for segmentation gives logits "
            "[B, classes, height, width]"
        )
    logits = logits.float()
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits
    return F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)


def dice_loss(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """1 less the mean over classes of ``(2 * sum(p * t) + 1) / (sum(p) + sum(t) + 1)``, sums over ``known`` pixels."""
    shares = logits.softmax(1) * known[:, None]
    truth = (masks[:, None] == torch.arange(logits.shape[1], device=masks.device)[:, None, None]) & known[:, None]
    both, each = (shares * truth).sum((0, 2, 3)), shares.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return 1 - ((2 * both + 1) / (each + 1)).mean()


def confusion(found: Tensor, there: Tensor, classes: int, ignore_index: int) -> Tensor:
    """How often each class that is there (rows) was found as each class (columns): int64 [classes, classes].

    Raises:
        TrialError: a mask holds a number that is no class. On a GPU that is not looked at: it would wait for it.
    """
    known = there != ignore_index
    if there.device.type == "cpu" and bool((((there < 0) | (there >= classes)) & known).any()):
        wrong = int(there[((there < 0) | (there >= classes)) & known][0])
        raise TrialError(
            f"a mask holds {wrong}, and the network tells {classes} classes apart, from 0; pixels that do not count "
            f"are marked by the task's option ignore_index, here {ignore_index}"
        )
    # Pixels that do not count go to one more place. No shape depends on values, so a CUDA graph can repeat it.
    place = torch.where(known, there * classes + found, classes**2).flatten()
    counts = torch.zeros(classes**2 + 1, dtype=torch.int64, device=found.device)
    return counts.scatter_add_(0, place, torch.ones_like(place))[:-1].view(classes, classes)
