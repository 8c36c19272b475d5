"""What follows an edit in memory: batch-norm statistics estimated anew, and fine-tuning by the studies' own loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunetui.api import Task
from prunetui.config import Recipe
from prunetui.config.mistakes import from_pydantic
from prunetui.config.recipes import FinetuneTable
from prunetui.engine.data.given_batches import GivenBatches
from prunetui.engine.device import Device
from prunetui.engine.evaluation import recalibrate
from prunetui.engine.models.in_memory import modes_kept
from prunetui.engine.train_job import Hooks, TrainJob, TrainProgress, TrainState
from prunetui.engine.training_loop import train
from prunetui.errors import PrunetuiError, TrialError, UsageError

LEAST_EXAMPLES = 64
"""Fewer tell too little of batch-norm statistics."""
Finetune = int | Mapping[str, Any] | Recipe | None


def recipe_of(finetune: Finetune) -> Recipe | None:
    """The recipe of a call: epochs alone, keys of a study's table [finetune], or a recipe; in float32 if it is silent.

    Raises:
        UsageError: it is none of these, or a key or a value is wrong.
    """
    if finetune is None or finetune == 0:
        return None
    if isinstance(finetune, Recipe):
        return finetune
    given = {"epochs": finetune} if isinstance(finetune, int) else finetune
    if not isinstance(given, Mapping):
        raise UsageError(
            f"finetune is {type(finetune).__name__}; give epochs, or keys as in a study's table [finetune]"
        )
    try:
        recipe = FinetuneTable.model_validate({"precision": "fp32", **given})
    except ValidationError as error:
        mistakes = from_pydantic(error, FinetuneTable, dict(given), ("finetune",))
        raise UsageError("; ".join(str(mistake).removeprefix(": ") for _, mistake in mistakes)) from None
    if recipe.distill:
        raise UsageError("finetune.distill imitates the dense network, which a study does (prunetui.run)")
    return recipe if recipe.epochs else None


def why_not_recalibrated(network: nn.Module, source: GivenBatches | None) -> str | None:
    """Why batch-norm statistics stay as they are; empty where there are none, None where they can be estimated."""
    if not any(isinstance(m, _BatchNorm) and m.running_mean is not None for m in network.modules()):
        return ""
    if source is None:
        return "batch-norm statistics are those of the dense network: there is no data to estimate them anew"
    if source.count < LEAST_EXAMPLES:
        few = f"{source.count} examples are too few to estimate them anew ({LEAST_EXAMPLES} do)"
        return f"batch-norm statistics are those of the dense network: {few}"
    return None


def recalibrated(network: nn.Module, task: Task, source: GivenBatches) -> None:
    """Estimate batch-norm statistics anew, in place, on the batches that were looked at."""
    with modes_kept(network):
        recalibrate(network.eval(), task, source.seen)


def finetuned(
    network: nn.Module, task: Task, source: GivenBatches, recipe: Recipe, masks: Mapping[str, Tensor], seed: int,
    report: Callable[[TrainProgress], None],
) -> None:  # fmt: skip
    """Train a network in place; what was set to zero stays zero.

    Raises:
        TrialError: the loss is not finite, or the device is out of memory.
        UsageError: the data cannot be gone over several times.
    """
    source.check_repeatable()
    kind = source.device.type
    bf16 = kind == "cuda" and torch.cuda.is_bf16_supported()
    job = TrainJob(recipe.model_copy(update={"batch_size": source.batch_size}), f"prune:{seed}")
    hooks = Hooks(report, lambda epoch, state: None, lambda: False)
    with modes_kept(network):
        try:
            train(network, task, source, job, TrainState(masks=masks), Device(source.device, bf16), hooks)
        except PrunetuiError:
            raise
        except Exception as error:
            raise TrialError(f"fine-tuning fails on this network: {type(error).__name__}: {error}") from error
