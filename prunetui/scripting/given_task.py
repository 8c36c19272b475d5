"""What a network is for, as a call says it: a task by its name or as an object, or a loss alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from prunetui.api import Accumulator, Batch, Metric, Network, Task
from prunetui.api.source import count_of
from prunetui.engine.load_task import load_task
from prunetui.errors import UsageError
from prunetui.metrics import LOSS
from prunetui.plugins.own_files import absolute

Loss = Callable[[Any, Batch], Tensor]
Inputs = Callable[[Batch], Any]
USUAL = "classification"


class LossAlone(Task):
    """A task that is nothing but its loss, the mean over a batch; without one, whoever asks for it is told so."""

    name: ClassVar[str] = "loss"
    measures: ClassVar[tuple[Metric, ...]] = (LOSS,)

    def __init__(self, loss: Loss | None, inputs: Inputs | None = None) -> None:
        self._loss, self._inputs = loss, inputs

    def loss(self, model: Network, batch: Batch) -> Tensor:
        if self._loss is None:
            raise UsageError("there is no loss: give loss=, a function of (model, batch), or task=")
        found = self._loss(model, batch)
        if not isinstance(found, Tensor) or found.numel() != 1:
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(f"loss gives {what}; it must give one number, the mean over the batch, as a tensor")
        return found.reshape(())

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        accumulator.mean(LOSS.key, self.loss(model, batch).detach().expand(count_of(batch)))

    def inputs(self, batch: Batch) -> Any:
        if self._inputs is not None:
            return self._inputs(batch)
        return batch[0] if isinstance(batch, tuple | list) else batch


def given_task(task: str | Task | None, loss: Loss | None, inputs: Inputs | None, batch: Batch) -> Task:
    """The task of a call whose first batch is ``batch``; if it says nothing, classification of what has labels.

    Raises:
        UsageError: there is no such task, or it is none; ``inputs`` is given with a task, which has its own.
    """
    if loss is not None and not callable(loss):
        raise UsageError(f"loss is {type(loss).__name__}; it must be a function of (model, batch)")
    if task is None:
        no_labels = inputs is not None or isinstance(batch, Tensor)
        return LossAlone(loss, inputs) if loss is not None or no_labels else load_task(USUAL)
    if loss is not None or inputs is not None:
        raise UsageError("loss= and inputs= go with each other; a task says both itself: leave task= out")
    if isinstance(task, str):
        return load_task(absolute(task, Path()))
    if isinstance(task, Task):
        return task
    raise UsageError(f"task is {type(task).__name__}; it must be a name or a prunetui.api.Task")
