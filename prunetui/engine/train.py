"""Training: an ordinary recipe, repeatable by seed, with masks that hold and an optimiser that can be saved.

Every epoch draws from its own generator, so a run that goes on after a kill sees the same images in the
same order as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api.constraints import Constraints
from prunetui.api.training import Training
from prunetui.config import Recipe
from prunetui.engine.convolutions import make_safe
from prunetui.engine.cuda_graph import Repeated
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.optimizer import Hold, buffers, make_optimizer, restore, set_lr
from prunetui.engine.randomness import epoch_seed
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
class Baggage:
    """What goes with a network through training: optimiser buffers, masks, a method's notes."""

    momentum: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Hooks:
    """What a training tells, and whom it asks."""

    report: Callable[[Report], None]
    save: Callable[[int, Baggage], None]
    """Told the finished epochs of the recipe, and what is needed to go on, after each epoch but the last."""
    should_stop: Callable[[], bool]


@dataclass(frozen=True)
class Shape:
    """A method's ``during_training`` and what it may change."""

    hook: Callable[[Training], None]
    constraints: Constraints


@dataclass(frozen=True)
class Teacher:
    """A network to imitate, with what weight in the loss, and at which temperature."""

    model: nn.Module
    weight: float
    temperature: float


@dataclass(frozen=True)
class Course:
    """What is trained: epochs ``first`` to ``last`` of a recipe.

    ``key`` names its randomness; ``shape`` is the method that shapes it.
    """

    recipe: Recipe
    key: str
    first: int = 0
    last: int | None = None
    shape: Shape | None = None
    teacher: Teacher | None = None
    begun: int = 0
    """Epoch at which this training began, before ``first`` if it goes on after an interruption."""

    @property
    def end(self) -> int:
        return self.recipe.epochs if self.last is None else self.last


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


def train(model: nn.Module, data: Dataset, course: Course, start: Baggage, device: Device, hooks: Hooks) -> Baggage:
    """Train ``model`` in place; returns the optimiser's buffers, the masks and what a method noted.

    Raises:
        TrialError: the loss is not finite, or the device is out of memory.
        Interrupted: ``hooks.should_stop`` said so, at the latest after one batch.
    """
    make_safe()
    loop = _Loop(model, data, course, start, device, hooks)
    # A method that shapes training may do anything between two steps, which no recording can repeat.
    step = Repeated(loop.batch) if device.graphs and not course.shape else loop.batch
    model.train()
    try:
        for epoch in range(course.first, course.end):
            loop.epoch(epoch, step)
            if epoch + 1 < course.end:
                hooks.save(epoch + 1, loop.baggage())
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        size = course.recipe.batch_size
        raise TrialError(f"out of memory on {device.name} with batches of {size}; lower batch_size") from None
    finally:
        model.eval()
    _check_outputs(model, data, course.recipe)
    return loop.baggage()


def _check_outputs(model: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """The last step may blow up a net whose last loss was still fine: one batch tells."""
    with torch.no_grad():
        logits = model(data.normalised(data.train.pixels[: recipe.batch_size]))
    if not bool(torch.isfinite(logits).all()):
        raise TrialError(f"the trained net's outputs are not finite; a lower lr than {recipe.lr:g} may help")


class _Loop:
    """One training: the network, its optimiser, the masks that hold, and the method that shapes it."""

    def __init__(
        self, model: nn.Module, data: Dataset, course: Course, start: Baggage, device: Device, hooks: Hooks
    ) -> None:
        self.model, self.data, self.course, self.device, self.hooks = model, data, course, device, hooks
        self.recipe = course.recipe
        self.batches = max(1, len(data.train) // self.recipe.batch_size)
        self.optimizer = make_optimizer(model, self.recipe, device)
        restore(self.optimizer, model, start.momentum)
        self.training = Training(
            model=model,
            constraints=course.shape.constraints if course.shape else Constraints(),
            # Copies: a method that writes into them must not reach the state that the training began with.
            masks={name: mask.to(device.torch, copy=True) for name, mask in start.masks.items()},
            memory={name: tensor.to(device.torch, copy=True) for name, tensor in start.memory.items()},
            generator=torch.Generator(),
            batches=self.batches,
        )
        self.hold = Hold(model, self.optimizer, self.training.masks)

    def baggage(self) -> Baggage:
        return Baggage(buffers(self.optimizer, self.model), dict(self.training.masks), dict(self.training.memory))

    def epoch(self, epoch: int, step: Callable[[Tensor, Tensor], Tensor]) -> None:
        """One pass over the training images, told twice a second."""
        course, hooks = self.course, self.hooks
        generator = torch.Generator().manual_seed(epoch_seed(course.key, epoch))
        self.training.generator.manual_seed(epoch_seed(f"{course.key}:method", epoch))
        sums = torch.zeros(2, device=self.device.torch)  # of loss and of hits: read twice a second, not every batch
        seen, images = 0, len(self.data.train)
        total = (course.end - course.begun) * images
        started = reported = time.monotonic()
        for batch, (inputs, labels) in enumerate(self.data.epoch(self.recipe.batch_size, generator)):
            lr = self._set_lr(epoch, batch)
            sums += step(inputs, labels)
            seen += len(labels)
            if hooks.should_stop():
                raise Interrupted("stopped while training")
            now = time.monotonic()
            last = batch + 1 == self.batches
            if last or now - reported > REPORT_SECONDS:
                reported = now
                loss, accuracy = self._means(sums, seen, epoch)
                rate = seen / (time.monotonic() - started + 1e-9)
                done = (epoch - course.begun) * images + (images if last else seen)
                hooks.report(Report(done, total, epoch + 1, rate, loss, 100 * accuracy, lr, last))

    def _set_lr(self, epoch: int, batch: int) -> float:
        place = epoch * self.batches + batch
        lr: float = self.recipe.lr * learning_rate(self.recipe.schedule, place / (self.recipe.epochs * self.batches))
        set_lr(self.optimizer, lr)
        training, begun = self.training, self.course.begun * self.batches
        training.lr, training.batch = lr, place - begun
        training.progress = training.batch / ((self.course.end - self.course.begun) * self.batches)
        return lr

    def batch(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """One step of the optimiser; the batch's summed loss and its hits."""
        teacher, bf16 = self.course.teacher, self.device.arithmetic(self.recipe.precision) == "bf16"
        with torch.autocast(self.device.torch.type, torch.bfloat16, enabled=bf16):
            logits = self.model(inputs)
            taught = None if teacher is None else _silently(teacher.model, inputs)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        if teacher is not None and taught is not None:
            loss = distilled(loss, logits.float(), taught.float(), teacher.weight, teacher.temperature)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.course.shape:
            self._shape(self.course.shape.hook)
        self.optimizer.step()
        self.hold.apply()
        with torch.no_grad():
            return torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])

    def _shape(self, hook: Callable[[Training], None]) -> None:
        before = {name: (mask, mask._version) for name, mask in self.training.masks.items()}
        with torch.no_grad():
            hook(self.training)
        after = self.training.masks
        same = [name for name, (mask, seen) in before.items() if after.get(name) is mask and mask._version == seen]
        if same != list(after):  # some were replaced or written into
            self.hold = Hold(self.model, self.optimizer, after)
            self.hold.apply()  # weights and momentum that are dropped do not move in this step either

    def _means(self, sums: Tensor, seen: int, epoch: int) -> tuple[float, float]:
        loss, accuracy = (sums / seen).tolist()
        if not math.isfinite(loss):
            lr = self.recipe.lr
            raise TrialError(f"the loss became {loss} in epoch {epoch + 1}; a lower lr than {lr:g} may help")
        return loss, accuracy


def _silently(teacher: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = teacher(inputs)
    return logits


def distilled(loss: Tensor, logits: Tensor, taught: Tensor, weight: float, temperature: float) -> Tensor:
    """``(1 - weight) * loss + weight * T^2 * KL(teacher || student)`` at temperature T (Hinton et al. 2015)."""
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, 1), F.log_softmax(taught / temperature, 1), log_target=True,
        reduction="batchmean",
    )  # fmt: skip
    return (1 - weight) * loss + weight * temperature**2 * divergence
