"""Evaluation in evaluation mode, with the accuracies of float32, and batch-norm re-estimation.

Where the hardware computes in bfloat16, most images are settled in it: those whose class wins or loses by more than
twice the largest difference between the two arithmetics that was seen. The others are computed in float32. The
accuracies are then those of float32: no image in which they differ was ever found, though nothing proves that there is
none. The mean loss, if asked for, sends further images to float32, the least sure ones, until the others would not move
it by more than ``LOSS_TOLERANCE`` even if all of them were off in the same direction, by as much as those that were
computed in both are on average.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.engine.data import Dataset, Images
from prunetui.errors import Interrupted

CALIBRATION_BATCH = 128
CPU_BATCH = 128
"""Images a step on a CPU at most: larger activations leave its caches (ResNet-20: 490 us an image, 600 with 512)."""
PROBE = 256
"""About so many images are computed in both arithmetics first, to learn how much they differ."""
WORTH = 0.4
"""The share of images in doubt from which float32 for all of them is faster."""
SAFETY = 2.0
"""An image is settled where its margin exceeds this many times the largest difference seen."""
LOSS_TOLERANCE = 1e-3
"""How far from float32's a screened mean loss may be, as far as the images tell that were computed in both."""


@dataclass(frozen=True)
class Accuracy:
    """Percent of images whose class is the first guess, or among the first five; mean cross-entropy if asked for."""

    top1: float
    top5: float
    loss: float | None
    images_per_second: float


def never() -> bool:
    """Nobody asks to stop."""
    return False


def evaluate(
    model: nn.Module,
    data: Dataset,
    images: Images,
    batch_size: int,
    should_stop: Callable[[], bool] = never,
    *,
    loss: bool = True,
    screened: bool = False,
) -> Accuracy:
    """Accuracy of ``model`` on ``images`` as float32 gives it, and the mean loss; its mode is restored afterwards.

    ``screened`` settles in bfloat16 the images that it can.

    Raises:
        Interrupted: ``should_stop`` said so, at the latest after one batch.
    """
    was_training = model.training
    model.eval()
    started = time.monotonic()
    batch_size = min(batch_size, CPU_BATCH) if images.labels.device.type == "cpu" else batch_size
    task = _Task(model, data, images, batch_size, should_stop, loss)
    with torch.inference_mode():
        logits = task.screened() if screened else task.logits()
        top1, top5 = (100 * _hits(logits, images.labels).double().mean(0)).tolist()
        mean = float(_losses(logits, images.labels).double().mean()) if loss else None
    seconds = time.monotonic() - started
    model.train(was_training)
    return Accuracy(top1, top5, mean, len(images) / max(seconds, 1e-9))


@dataclass(frozen=True)
class _Task:
    model: nn.Module
    data: Dataset
    images: Images
    batch_size: int
    should_stop: Callable[[], bool]
    loss: bool

    def logits(self, chosen: Tensor | None = None, bf16: bool = False) -> Tensor:
        """Logits [chosen, classes] of the images that bool [N] marks, or of all."""
        device = self.images.labels.device.type
        images = self.images if chosen is None else self.images.take(chosen.nonzero()[:, 0])
        found = []
        for inputs, _ in self.data.batches(images, self.batch_size):
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                found.append(self.model(inputs).float())
            if self.should_stop():
                raise Interrupted("stopped while measuring")
        return torch.cat(found)

    def screened(self) -> Tensor:
        """Logits that settle every image; float32 computes images until none is left whose figures may deceive.

        Of a net whose classes lie close together most images would be computed twice: all are in float32 then.
        """
        labels = self.images.labels
        fine = spread_over(len(labels), labels.device)
        exact = self.logits(fine)
        if bool(fine.all()):
            return exact
        rough = self.logits(fine, bf16=True)
        changes, others = _changes(exact, rough, labels[fine]), other_classes(rough, labels[fine])
        allowed = SAFETY * float(changes.max())
        typical = float((changes * others).sum() / others.sum().clamp(min=1e-9))  # of those that the loss depends on
        if float(self._in_doubt(rough, labels[fine], allowed, typical).double().mean()) > WORTH:
            return _joined(fine, exact, self.logits(~fine))
        logits = _joined(fine, exact, self.logits(~fine, bf16=True))
        while bool((doubtful := ~fine & self._in_doubt(logits, labels, allowed, typical * ~fine)).any()):
            exact = self.logits(doubtful)
            changes = _changes(exact, logits[doubtful], labels[doubtful])
            allowed = max(allowed, SAFETY * float(changes.max()))
            typical = max(typical, float(changes.mean()))
            logits[doubtful] = exact
            fine |= doubtful
        return logits

    def _in_doubt(self, logits: Tensor, labels: Tensor, allowed: float, typical: Tensor | float) -> Tensor:
        """Images whose hits, or whose part in the mean loss, may be others in float32: bool [N].

        Not "<=": what is not a number is in doubt.
        """
        doubt = ~(margins(logits, labels).abs() > allowed).all(1)
        return doubt | unsure(logits, labels, typical) if self.loss else doubt


def unsure(logits: Tensor, labels: Tensor, change: Tensor | float) -> Tensor:
    """The least sure images, without which the mean loss is off by ``LOSS_TOLERANCE`` at most: bool [N].

    ``change`` [N] is by how much each image's logits move at most, seen from that of its label. With q the probability
    of the other classes its loss then moves by no more than log(1 + q (exp(change) - 1)): where all others rise.
    """
    change = torch.as_tensor(change, device=logits.device)
    moves = torch.log1p(other_classes(logits, labels) * torch.expm1(change)).cpu()  # no sum in order repeats on CUDA
    order = moves.argsort()
    found = torch.empty(len(moves), dtype=torch.bool)
    found[order] = ~(moves[order].cumsum(0) <= LOSS_TOLERANCE * len(moves))
    return found.to(logits.device)


def other_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """The probability of all classes but the label: float [N]."""
    return -torch.expm1(-_losses(logits, labels))


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _changes(exact: Tensor, rough: Tensor, labels: Tensor) -> Tensor:
    """By how much an image's logits moved at most, seen from that of its label: float [N]."""
    change = exact - rough
    return (change - change.gather(1, labels[:, None])).abs().nan_to_num(0, 0).amax(1)


def _joined(chosen: Tensor, theirs: Tensor, others: Tensor) -> Tensor:
    """Rows of the images that bool [N] marks, and of the others, in their order."""
    rows = theirs.new_empty(len(chosen), theirs.shape[1])
    rows[chosen], rows[~chosen] = theirs, others
    return rows


def spread_over(count: int, device: torch.device) -> Tensor:
    """Marks about ``PROBE`` of ``count`` images, evenly: they may be sorted by class."""
    return torch.arange(count, device=device) % max(1, count // PROBE) == 0


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each label is the first guess, and among the first five: bool [B, 2]."""
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([ranked[:, 0], ranked.any(1)], 1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much each label's logit beats the best other one, and the fifth best other one: float [B, 2].

    With five classes or fewer every label is among the first five: by infinity.
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf).topk(min(5, logits.shape[1]), dim=1).values
    fifth = others[:, 4:5] if logits.shape[1] > 5 else torch.full_like(own, -torch.inf)
    return torch.cat([own - others[:, :1], own - fifth], 1)


def recalibrate(model: nn.Module, data: Dataset, images: Images) -> None:
    """Re-estimate batch-norm statistics in place as the plain average over batches of training images."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    with torch.no_grad():
        for inputs, labels in data.batches(images, CALIBRATION_BATCH):
            if len(labels) > 1 or len(images) == 1:  # one leftover image has no variance
                model(inputs)
    for norm, (momentum, training) in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.train(training)
