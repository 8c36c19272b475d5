"""A task of your own: the loss that a network is trained with, and the metrics that are measured.

    prunetui --batch --set task.name=own_task.py:digit-value --set task.options.scale=0.1

The primary metric gives the columns of results.csv, tables, charts and reports their names and their direction.
"""

from __future__ import annotations

from torch import Tensor

from prunetui.api import Accumulator, Batch, Metric, Network, task


@task("digit-value", primary="mae")
class DigitValue:
    """The class as a number: how far the network's one output is off.

    Args:
        scale: What a class more adds to the output that is wanted.
    """

    measures = (
        Metric("mae", "absolute error", direction="lower", format=".3f"),
        Metric("close", "within a half", "%"),
    )
    outputs = 1

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def loss(self, model: Network, batch: Batch) -> Tensor:
        """The mean squared error."""
        return self._errors(model, batch).square().mean()

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """Both are means over images; other figures add up with ``accumulator.add`` and end in a method ``figures``."""
        errors = self._errors(model, batch).abs() / self.scale
        accumulator.mean("mae", errors)
        accumulator.mean("close", 100.0 * (errors < 0.5))

    def _errors(self, model: Network, batch: Batch) -> Tensor:
        images, labels = batch
        values: Tensor = model(images)[:, 0]
        return values - self.scale * labels
