"""Evaluation in float32 and evaluation mode, and batch-norm re-estimation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from prunetui.engine.data import Dataset, Images
from prunetui.errors import Interrupted

CALIBRATION_BATCH = 128


@dataclass(frozen=True)
class Accuracy:
    """Percent of images whose class is the first guess, or among the first five; mean cross-entropy."""

    top1: float
    top5: float
    loss: float
    images_per_second: float


def never() -> bool:
    """Nobody asks to stop."""
    return False


def evaluate(
    model: nn.Module, data: Dataset, images: Images, batch_size: int, should_stop: Callable[[], bool] = never
) -> Accuracy:
    """Accuracy of ``model`` on ``images``; its mode is restored afterwards.

    Raises:
        Interrupted: ``should_stop`` said so, at the latest after one batch.
    """
    was_training = model.training
    model.eval()
    device = images.labels.device
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    started = time.monotonic()
    with torch.inference_mode():
        for inputs, labels in data.batches(images, batch_size):
            logits = model(inputs).float()
            ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            loss = F.cross_entropy(logits, labels, reduction="sum")
            sums += torch.stack([ranked[:, 0].sum().double(), ranked.sum().double(), loss.double()])
            if should_stop():
                raise Interrupted("stopped while measuring")
    hits, hits5, loss_sum = sums.tolist()
    seconds = time.monotonic() - started
    model.train(was_training)
    count = len(images)
    return Accuracy(100 * hits / count, 100 * hits5 / count, loss_sum / count, count / max(seconds, 1e-9))


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
