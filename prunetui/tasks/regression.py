"""Regression: a network gives numbers, and the nearer they are to those of the data the better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from prunetui.api import (
    Accumulator,
    Batch,
    Literal,
    Metric,
    Network,
    Positive,
    Task,
    TrialError,
    called,
    logits_of,
    task,
)

RMSE = Metric("rmse", "RMSE", "", "lower", ".4f", noun="error", about="Root of the mean squared error of test examples")
MAE = Metric("mae", "MAE", "", "lower", ".4f", about="Mean absolute error of test examples")
R2 = Metric("r2", "R2", "", "higher", ".4f", about="Part of the variance that is explained, as the mean over numbers")


@task("regression", primary="rmse")
class Regression(Task):
    """Numbers of any shape, by their squared, absolute or Huber error.

    A batch is what goes into the network and targets [B, ...]. The network gives numbers of the targets' shape, as a
    tensor, or as the first one of several; it may have dimensions of size 1 at the end that they lack, or lack such.
    """

    measures = (RMSE, MAE, R2)

    def __init__(self, loss: Literal["mse", "mae", "huber"] = "mse", outputs: Positive = 1) -> None:
        """
        Args:
            loss: `huber` is the squared error below 1 and the absolute one above (Huber 1964).
            outputs: How many numbers a network is built to give of an example.
        """
        self.kind = loss
        self.outputs = outputs  # type: ignore[misc]  # of other tasks the same whatever their options

    def loss(self, model: Network, batch: Batch) -> Tensor:
        found, targets = _both(model, self.inputs(batch), batch)
        return self._distance(found, targets)

    def _distance(self, found: Tensor, targets: Tensor) -> Tensor:
        distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "mse": F.mse_loss,
            "mae": F.l1_loss,
            "huber": F.huber_loss,
        }
        return distances[self.kind](found, targets)

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        found, targets = (x.double().flatten(1) for x in _both(model, self.inputs(batch), batch, at_least=2))
        self._add_squares(found, targets, accumulator)
        accumulator.mean(MAE.key, (found - targets).abs())
        accumulator.add("targets", targets.sum(0))
        accumulator.add("squared targets", targets.square().sum(0))

    def training_metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """The root of the mean squared error alone."""
        found, targets = (x.double().flatten(1) for x in _both(model, self.inputs(batch), batch, at_least=2))
        self._add_squares(found, targets, accumulator)

    def _add_squares(self, found: Tensor, targets: Tensor, accumulator: Accumulator) -> None:
        accumulator.add("squares", (found - targets).square().sum(0))
        accumulator.add("examples", len(targets))

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        """R2 is the mean over the numbers of an example; one that never varies has none, and is left out of it."""
        squares, examples = accumulator.sums["squares"], accumulator.sums["examples"]
        found = {RMSE.key: math.sqrt(float(squares.mean()) / examples), **accumulator.means()}
        if "targets" in accumulator.sums:
            mean = accumulator.sums["targets"] / examples
            spread = accumulator.sums["squared targets"] - examples * mean.square()
            varies = spread > 1e-12 * accumulator.sums["squared targets"]  # what rounding leaves of a constant
            found[R2.key] = float((1 - squares / spread)[varies].mean()) if bool(varies.any()) else 0.0
        return found

    def imitation(self, loss: Tensor, outputs: Any, taught: Any, weight: float, temperature: float) -> Tensor:
        """``(1 - weight) * loss + weight * loss(outputs, taught)``. Numbers have no temperature: it is not used."""
        distance = self._distance(logits_of(outputs), logits_of(taught))
        return (1 - weight) * loss + weight * distance

    def check_outputs(self, outputs: Any, examples: int, classes: int | None) -> str:
        found = logits_of(outputs)
        shape = list(found.shape) if isinstance(found, Tensor) else type(outputs).__name__
        if isinstance(shape, list) and shape[:1] == [examples] and math.prod(shape[1:]) == (classes or 1):
            return ""
        return (
            f"gives {shape} of {examples} examples, and regression is for {classes or 1} "
            f"number{'' if classes in (None, 1) else 's'} of each: the task's option outputs says how many"
        )


def _both(model: Network, inputs: Any, batch: Batch, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """What the network gives and the targets, in float32 and of one shape with ``at_least`` so many dimensions.

    Raises:
        TrialError: their shapes differ in more than dimensions of size 1 at their end.
    """
    found, targets = logits_of(called(model, inputs)).float(), batch[1]
    shape = list(targets.shape)
    while len(shape) > found.dim() and shape[-1] == 1:
        shape.pop()
    shape += [1] * (found.dim() - len(shape))
    if list(found.shape) != shape:
        raise TrialError(
            f"the network gives {list(found.shape)} for targets {list(targets.shape)}; for regression both have one "
            "shape. How many numbers a network is built to give is the task's option outputs"
        )
    shape += [1] * (at_least - len(shape))
    return found.reshape(shape), targets.reshape(shape).float()
