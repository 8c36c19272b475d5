"""What a network is for, as a call says it: a task by its name or as an object, or a loss alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from prunetui.api import Accumulator, Batch, Metric, Network, Task
from prunetui.api.source import count_of
from prunetui.engine.load_task import load_task
from prunetui.errors import UsageError
from prunetui.metrics import LOSS

Loss = Callable[[Any, Batch], Tensor]
Inputs = Callable[[Batch], Any]


class LossAlone(Task):
    """A task that is nothing but its loss, the mean over a batch."""

    name: ClassVar[str] = "loss"
    measures: ClassVar[tuple[Metric, ...]] = (LOSS,)

    def __init__(self, loss: Loss, inputs: Inputs | None = None) -> None:
        self._loss, self._inputs = loss, inputs

    def loss(self, model: Network, batch: Batch) -> Tensor:
        found = self._loss(model, batch)
        if not isinstance(found, Tensor) or found.numel() != 1:
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(f"loss gives {what}; it must give one number, the mean over the batch, as a tensor")
        return found.reshape(())

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        accumulator.mean(LOSS.key, self.loss(model, batch).detach().expand(count_of(batch)))

    def inputs(self, batch: Batch) -> Any:
        return inputs_of(batch) if self._inputs is None else self._inputs(batch)


def given_task(task: str | Task, loss: Loss | None, inputs: Inputs | None) -> Task:
    """The task of a call.

    Raises:
        UsageError: there is no such task, or it is no task; ``inputs`` is given with a task of one's own, which has its
            own.
    """
    if loss is not None:
        if not callable(loss):
            raise UsageError(f"loss is {type(loss).__name__}; it must be a function of (model, batch)")
        return LossAlone(loss, inputs)
    if isinstance(task, str):
        found = load_task(task)
    elif isinstance(task, Task):
        found = task
    else:
        raise UsageError(f"task is {type(task).__name__}; it must be a name or a prunetui.api.Task")
    if inputs is not None:
        raise UsageError(
            f"inputs= goes with loss=; the task {found.name} says itself what of a batch goes into the network"
        )
    return found


def inputs_of(batch: Batch) -> Any:
    """What goes into a network where nothing says so: all of a tensor or mapping, the first of several."""
    return batch[0] if isinstance(batch, tuple | list) else batch
