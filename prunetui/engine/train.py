"""Training: an ordinary recipe, repeatable by seed, with masks that hold and an optimiser that can be saved.

Every epoch draws from its own generator, so a run that goes on after a kill sees the same images in the
same order as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.errors import Interrupted, TrialError

REPORT_SECONDS = 0.5
STEP_DROPS = (0.5, 0.75)
WARM_UP = 0.3
WARM_UP_START = 0.04


@dataclass(frozen=True)
class Report:
    """How far a training is; loss and accuracy (percent) are of the current epoch so far."""

    done: int
    total: int
    epoch: int
    images_per_second: float
    loss: float
    accuracy: float
    lr: float
    epoch_finished: bool


@dataclass(frozen=True)
class Hooks:
    """What a training tells, and whom it asks."""

    report: Callable[[Report], None]
    save: Callable[[int, Mapping[str, Tensor]], None]
    """Told the number of finished epochs and the optimiser's buffers after each epoch but the last."""
    should_stop: Callable[[], bool]


def learning_rate(schedule: str, progress: float) -> float:
    """The factor on the highest learning rate at ``progress`` in [0, 1).

    ``one-cycle`` rises linearly from 0.04 over the first 30 %, then falls along a cosine
    (Smith & Topin 2019, arXiv:1708.07120, without its momentum cycle).
    """
    if schedule == "one-cycle":
        if progress < WARM_UP:
            return WARM_UP_START + (1 - WARM_UP_START) * progress / WARM_UP
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    if schedule in ("cosine", "one-cycle"):
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "step":
        return 0.1 ** sum(progress >= drop for drop in STEP_DROPS)
    return 1.0


def epoch_seed(key: str, epoch: int) -> int:
    """The seed of one epoch of the training whose randomness is called ``key``."""
    return int.from_bytes(hashlib.sha256(f"{key}:{epoch}".encode()).digest()[:7], "big")


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Mapping[str, Any],
    key: str,
    device: Device,
    hooks: Hooks,
    masks: Mapping[str, Tensor] | None = None,
    momentum: Mapping[str, Tensor] | None = None,
    first_epoch: int = 0,
) -> dict[str, Tensor]:
    """Train ``model`` in place from ``first_epoch`` on; returns the optimiser's buffers.

    ``recipe`` is a ``config.Recipe`` as plain data; ``momentum`` are buffers to go on with.

    Raises:
        TrialError: the loss is not finite, or the device is out of memory.
        Interrupted: ``hooks.should_stop`` said so, at the latest after one batch.
    """
    optimizer = make_optimizer(model, recipe, device)
    restore(optimizer, model, momentum or {})
    hold = _Hold(model, optimizer, masks or {})
    epochs = recipe["epochs"]
    batches = max(1, len(data.train) // recipe["batch_size"])
    model.train()
    try:
        for epoch in range(first_epoch, epochs):
            _epoch(model, data, recipe, key, device, hooks, optimizer, hold, epoch, batches)
            if epoch + 1 < epochs:
                hooks.save(epoch + 1, buffers(optimizer, model))
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise TrialError(
            f"out of memory on {device.name} with batches of {recipe['batch_size']}; lower batch_size"
        ) from None
    finally:
        model.eval()
    _check_outputs(model, data, recipe)
    return buffers(optimizer, model)


def _check_outputs(model: nn.Module, data: Dataset, recipe: Mapping[str, Any]) -> None:
    """The last step may blow up a net whose last loss was still fine: one batch tells."""
    with torch.no_grad():
        logits = model(data.normalised(data.train.pixels[: recipe["batch_size"]]))
    if not bool(torch.isfinite(logits).all()):
        raise TrialError(f"the trained net's outputs are not finite; a lower lr than {recipe['lr']:g} may help")


def _epoch(
    model: nn.Module, data: Dataset, recipe: Mapping[str, Any], key: str, device: Device, hooks: Hooks,
    optimizer: torch.optim.Optimizer, hold: _Hold, epoch: int, batches: int,
) -> None:  # fmt: skip
    generator = torch.Generator().manual_seed(epoch_seed(key, epoch))
    bf16 = device.arithmetic(recipe["precision"]) == "bf16"
    smoothing = recipe["label_smoothing"]
    sums = torch.zeros(2, device=device.torch)  # of loss and of hits: read twice a second, not every batch
    seen, total = 0, recipe["epochs"] * len(data.train)
    started = reported = time.monotonic()
    for batch, (inputs, labels) in enumerate(data.epoch(recipe["batch_size"], generator)):
        factor = learning_rate(recipe["schedule"], (epoch * batches + batch) / (recipe["epochs"] * batches))
        for group in optimizer.param_groups:
            group["lr"] = recipe["lr"] * factor
        with torch.autocast(device.torch.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        hold.apply()
        with torch.no_grad():
            sums += torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])
        seen += len(labels)
        if hooks.should_stop():
            raise Interrupted("stopped while training")
        now = time.monotonic()
        last = batch + 1 == batches
        if last or now - reported > REPORT_SECONDS:
            reported = now
            mean_loss, accuracy = (sums / seen).tolist()
            if not math.isfinite(mean_loss):
                raise TrialError(
                    f"the loss became {mean_loss} in epoch {epoch + 1}; a lower lr than {recipe['lr']:g} may help"
                )
            rate = seen / (time.monotonic() - started + 1e-9)
            done = (epoch + 1) * len(data.train) if last else epoch * len(data.train) + seen
            hooks.report(Report(done, total, epoch + 1, rate, mean_loss, 100 * accuracy, recipe["lr"] * factor, last))


class _Hold:
    """Keeps pruned weights and their momentum at zero: one fused call each after an optimiser step."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters())
        self._optimizer = optimizer
        self._weights: list[Tensor] = [parameters[f"{name}.weight"] for name in masks]
        self._masks = [m.to(w.device, w.dtype) for m, w in zip(masks.values(), self._weights, strict=True)]

    @torch.no_grad()
    def apply(self) -> None:
        if not self._weights:
            return
        torch._foreach_mul_(self._weights, self._masks)
        for name in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
            held = [self._optimizer.state[weight].get(name) for weight in self._weights]
            if held[0] is not None:
                torch._foreach_mul_(held, self._masks)


def make_optimizer(model: nn.Module, recipe: Mapping[str, Any], device: Device) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; fused on CUDA, one call for all parameters elsewhere."""
    common: dict[str, Any] = {"lr": recipe["lr"], "weight_decay": recipe["weight_decay"]}
    common |= {"fused": True} if device.torch.type == "cuda" else {"foreach": True}
    if recipe["optimizer"] == "adamw":
        return torch.optim.AdamW(model.parameters(), betas=(recipe["momentum"], 0.999), **common)
    momentum = recipe["momentum"]
    return torch.optim.SGD(model.parameters(), momentum=momentum, nesterov=momentum > 0, **common)


def buffers(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state by ``<buffer>/<parameter>``, copied."""
    found = {}
    for name, parameter in model.named_parameters():
        for buffer, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"{buffer}/{name}"] = value.detach().clone()
    return found


def restore(optimizer: torch.optim.Optimizer, model: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that ``buffers`` read, or that an edit made of it."""
    parameters = dict(model.named_parameters())
    for key, value in saved.items():
        buffer, _, name = key.partition("/")
        parameter = parameters[name]
        copied = value.to(parameter.device, copy=True)
        optimizer.state[parameter][buffer] = (
            copied.to(memory_format=torch.channels_last) if value.dim() == 4 else copied
        )
