"""A metric of your own: the calibration error of a classifier, beside its accuracy.

    prunetui --batch --set task.name=own_metric.py:calibrated

Metrics are of a task: ``measures`` names them, ``metrics`` adds up over batches what ``figures`` computes them from.
Columns of results.csv, tables, axes, charts and reports follow from what ``Metric`` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import Accumulator, Batch, Metric, Network, Task, task

BINS = 10


@task("calibrated", primary="top1")
class Calibrated(Task):
    """Classification with the expected calibration error of Guo et al. 2017, arXiv:1706.04599."""

    measures = (
        Metric("top1", "top-1", "%"),
        Metric("ece", "calibration error", "", "lower", ".4f", about="How far confidence is from accuracy"),
    )

    def loss(self, model: Network, batch: Batch) -> Tensor:
        return self.training_loss(model, batch, label_smoothing=0.0)

    def training_loss(self, model: Network, batch: Batch, label_smoothing: float) -> Tensor:
        images, labels = batch
        return F.cross_entropy(model(images), labels, label_smoothing=label_smoothing)

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        images, labels = batch
        confidence, guess = model(images).softmax(1).max(1)
        hits = (guess == labels).double()
        accumulator.mean("top1", 100 * hits)
        bins = (confidence * BINS).long().clamp(max=BINS - 1)
        accumulator.add(
            "gap", torch.zeros(BINS, dtype=torch.float64).index_add(0, bins.cpu(), (confidence - hits).cpu())
        )
        accumulator.add("images", len(labels))

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        ece = float(accumulator.sums["gap"].abs().sum() / accumulator.sums["images"])
        return {**accumulator.means(), "ece": ece}
