"""A task of your own: classes that are in an order, as grades are; the network says a number, not a class.

    prunetui --batch --set task.name=own_task.py:grades --set train.label_smoothing=0 --set finetune.label_smoothing=0

A task says what the loss of a batch is, and which figures there are; data, models and methods are those of every other.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from prunetui.api import Accumulator, Batch, Metric, Network, Task, task


@task("grades", primary="distance")
class Grades(Task):
    """Regression to the number of the class."""

    measures = (
        Metric("distance", "mean distance", "", "lower", ".3f", about="How far the number is from that of the class"),
        Metric("within1", "within one", "%", about="Percent of test images whose number is off by one at most"),
    )
    outputs = 1

    def __init__(self, beta: float = 1.0) -> None:
        """Options are what a study may say in ``task.options``.

        Args:
            beta: Errors below it count by their square, larger ones by their size.
        """
        self.beta = beta

    def loss(self, model: Network, batch: Batch) -> Tensor:
        images, grades = batch
        return F.smooth_l1_loss(model(images)[:, 0], grades.float(), beta=self.beta)

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        images, grades = batch
        errors = (model(images)[:, 0] - grades).abs()
        accumulator.mean("distance", errors)
        accumulator.mean("within1", 100 * (errors <= 1).double())
