"""The data of a call as batches that a task takes, and what of them goes into the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from prunetui.api import Batch, Task, mapped
from prunetui.api.source import called
from prunetui.engine.data.given_batches import GivenBatches
from prunetui.engine.models.in_memory import copied
from prunetui.errors import UsageError


def source_of(data: Any, test: Any, device: torch.device, calibration: int) -> GivenBatches | None:
    """The data of a call, and what it is measured on; None where there is none.

    Raises:
        UsageError: it is nothing that gives batches.
    """
    if isinstance(calibration, bool) or not isinstance(calibration, int) or calibration < 1:
        raise UsageError(f"calibration is {calibration!r}; it must be the number of examples that a method may look at")
    if data is None:
        if test is not None:
            raise UsageError("test goes with data=, the training data: it is none of the test")
        return None
    return GivenBatches(_batches(data), device, calibration, None if test is None else _batches(test))


def example_of(
    source: GivenBatches | None, example_inputs: Any, task: Task, network: nn.Module, device: torch.device
) -> Any:
    """What goes into the network: as it is given, or of the first batch.

    Raises:
        UsageError: neither is given, or the network does not take it.
    """
    if example_inputs is not None:
        example = mapped(example_inputs, lambda tensor: tensor.to(device))
    elif source is None:
        raise UsageError("there is neither data nor example_inputs: give batches, or what goes into the network")
    else:
        example = _inputs_of(task, source.seen[0])
    try:
        with torch.no_grad():
            called(copied(network).eval(), example)
    except Exception as error:
        raise UsageError(
            f"the network does not take inputs {shapes_of(example)}: {type(error).__name__}: {error}; loss= with "
            "inputs=, or a task of your own, says what of a batch goes into it"
        ) from error
    return example


def _inputs_of(task: Task, batch: Batch) -> Any:
    try:
        return task.inputs(batch)
    except Exception as error:
        raise UsageError(
            f"the task {task.name} takes no batch {shapes_of(batch)}: {type(error).__name__}: {error}; loss= with "
            "inputs=, or a task of your own, says what of a batch goes into the network"
        ) from error


def _batches(data: Any) -> Iterable[Batch]:
    """Batches; a tensor, tuple or mapping is one."""
    if isinstance(data, Dataset):
        raise UsageError(f"data is a {type(data).__name__}, which gives single examples: wrap it in a DataLoader")
    if isinstance(data, Tensor | tuple | Mapping):
        data = [data]
    if not isinstance(data, Iterable):
        raise UsageError(f"data is {type(data).__name__}; it must be a DataLoader, or a list of batches")
    return data


def shapes_of(inputs: Any) -> str:
    """What inputs are, in words: their shapes and types."""
    if isinstance(inputs, Tensor):
        return f"{list(inputs.shape)} of {str(inputs.dtype).removeprefix('torch.')}"
    if isinstance(inputs, Mapping):
        return "{" + ", ".join(f"{name}: {shapes_of(value)}" for name, value in inputs.items()) + "}"
    if isinstance(inputs, tuple | list):
        return f"({', '.join(map(shapes_of, inputs))})"
    return type(inputs).__name__
