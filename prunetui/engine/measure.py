"""Evaluation in evaluation mode, with the accuracies of float32, and batch-norm re-estimation.

Where the mean loss is not asked for and the hardware computes in bfloat16, most images are settled in bfloat16: those
whose class wins or loses by more than twice the largest difference between the two arithmetics that was seen. The
others are computed in float32. The accuracies are then those of float32: no image in which they differ was ever found,
though nothing proves that there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
    screened: bool = False,
) -> Accuracy:
    """Accuracy of ``model`` on ``images`` as float32 gives it; its mode is restored afterwards.

    ``screened`` settles most images in bfloat16 and leaves out the loss, which takes float32 of every image.

    Raises:
        Interrupted: ``should_stop`` said so, at the latest after one batch.
    """
    was_training = model.training
    model.eval()
    started = time.monotonic()
    batch_size = min(batch_size, CPU_BATCH) if images.labels.device.type == "cpu" else batch_size
    task = _Task(model, data, batch_size, should_stop)
    with torch.inference_mode():
        hits, loss = (task.screened(images), None) if screened else task.exact(images)
        top1, top5 = (100 * hits.double().mean(0)).tolist()
        mean = None if loss is None else float(loss) / len(images)
    seconds = time.monotonic() - started
    model.train(was_training)
    return Accuracy(top1, top5, mean, len(images) / max(seconds, 1e-9))


@dataclass(frozen=True)
class _Task:
    model: nn.Module
    data: Dataset
    batch_size: int
    should_stop: Callable[[], bool]

    def _logits(self, images: Images, bf16: bool) -> Iterator[tuple[Tensor, Tensor]]:
        device = images.labels.device.type
        for inputs, labels in self.data.batches(images, self.batch_size):
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = self.model(inputs)
            yield logits.float(), labels
            if self.should_stop():
                raise Interrupted("stopped while measuring")

    def exact(self, images: Images) -> tuple[Tensor, Tensor]:
        """Hits [N, 2] as the first guess and among the first five, and the summed loss."""
        hits, losses = [], []
        for logits, labels in self._logits(images, bf16=False):
            hits.append(_hits(logits, labels))
            losses.append(F.cross_entropy(logits, labels, reduction="sum").double())
        return torch.cat(hits), torch.stack(losses).sum()

    def _fine(self, images: Images, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and margins, [chosen, 2] each, in float32."""
        part = images.take(chosen.nonzero()[:, 0])
        found = [(_hits(*batch), margins(*batch)) for batch in self._logits(part, bf16=False)]
        hits, fine = (torch.cat(tensors) for tensors in zip(*found, strict=True))
        return hits, fine

    def _rough(self, images: Images, chosen: Tensor) -> Tensor:
        """Margins [chosen, 2] in bfloat16."""
        part = images.take(chosen.nonzero()[:, 0])
        return torch.cat([margins(*batch) for batch in self._logits(part, bf16=True)])

    def screened(self, images: Images) -> Tensor:
        """The hits of ``exact``; images are computed in float32 until none is left whose margin may deceive.

        Of a net whose classes lie close together most images would be computed twice: all are in float32 then.
        """
        device = images.labels.device
        probe = spread_over(len(images), device)
        rest = ~probe
        hits = torch.zeros(len(images), 2, dtype=torch.bool, device=device)
        hits[probe], fine = self._fine(images, probe)
        if not bool(rest.any()):
            return hits
        rough = torch.zeros(len(images), 2, device=device)
        rough[probe] = self._rough(images, probe)
        allowed = SAFETY * _largest(fine - rough[probe])
        if float(_in_doubt(rough[probe], allowed).double().mean()) > WORTH:
            hits[rest] = self._fine(images, rest)[0]
            return hits
        rough[rest] = self._rough(images, rest)
        hits[rest] = rough[rest] > 0
        while bool((doubtful := rest & _in_doubt(rough, allowed)).any()):
            hits[doubtful], fine = self._fine(images, doubtful)
            allowed = max(allowed, SAFETY * _largest(fine - rough[doubtful]))
            rest &= ~doubtful
        return hits


def _largest(differences: Tensor) -> float:
    """Differences of infinities are none: with five classes or fewer every label is among the first five."""
    return float(differences.abs().nan_to_num(0, 0).max())


def _in_doubt(rough: Tensor, allowed: float) -> Tensor:
    """Images whose margins do not exceed what is allowed; not "<=": what is not a number is in doubt."""
    return ~(rough.abs() > allowed).all(1)


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
