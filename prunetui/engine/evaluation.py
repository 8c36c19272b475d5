"""Figures of a network on a split, in evaluation mode, and batch-norm statistics estimated anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunetui.api import Batch, Evaluation, Source, Task
from prunetui.api.source import called, count_of
from prunetui.errors import TrialError
from prunetui.metrics import LOSS

CALIBRATION_BATCH = 128
CPU_BATCH = 128
"""Images a step on a CPU at most: larger activations leave its caches (ResNet-20: 490 us an image, 600 with 512)."""
RATE = "images_per_second"


def never() -> bool:
    """Nobody asks to stop."""
    return False


def evaluate(
    model: nn.Module,
    task: Task,
    source: Source,
    split: str,
    batch_size: int,
    should_stop: Callable[[], bool] = never,
    *,
    loss: bool = True,
    bf16: bool = False,
) -> dict[str, float | None]:
    """The task's metrics on a split as float32 gives them, the mean loss if it is asked for, and images a second.

    ``bf16`` says that the hardware is fast in it; the mode of ``model`` is restored afterwards.

    Raises:
        Interrupted: ``should_stop`` said so, at the latest after one batch.
        TrialError: the task does not give the figures that it says it measures.
    """
    was_training = model.training
    model.eval()
    started = time.monotonic()
    batch_size = min(batch_size, CPU_BATCH) if source.device.type == "cpu" else batch_size
    with torch.inference_mode():
        found = task.evaluate(model, Evaluation(source, split, batch_size, loss, bf16, should_stop))
    seconds = time.monotonic() - started
    model.train(was_training)
    wanted = [metric.key for metric in (task.table.primary, *task.table.others)]
    if missing := [key for key in wanted if key not in found and key != LOSS.key]:
        raise TrialError(
            f"the task {task.name} gives {', '.join(found) or 'no figures'} of the {split} split; "
            f"it says that it measures {', '.join(missing)}, too"
        )
    if extra := [key for key in found if key not in wanted and found[key] is not None]:
        raise TrialError(f"the task {task.name} gives {', '.join(extra)}, which is none of its measures: list it there")
    figures = {key: found.get(key) for key in wanted}
    return {**figures, RATE: source.length(split) / max(seconds, 1e-9)}


def recalibrate(model: nn.Module, task: Task, batches: Iterable[Batch]) -> None:
    """Re-estimate batch-norm statistics in place as the plain average over batches of training examples."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    before = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    with torch.no_grad():
        for number, batch in enumerate(batches):
            if count_of(batch) > 1 or number == 0:  # one leftover image has no variance
                called(model, task.inputs(batch))
    for norm, (momentum, training) in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.train(training)
