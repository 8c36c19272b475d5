"""Training: an ordinary recipe, repeatable by seed, with masks that are enforced and an optimiser that can be saved.

Every epoch draws from its own generator, so a run that goes on after a kill sees the same examples in the
same order as one that was never interrupted, in the middle of an epoch as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import Accumulator, Batch, Source, Task, Training
from prunetui.api.constraints import Constraints
from prunetui.api.outputs import RecordedOutputs
from prunetui.api.source import called, count_of, mapped, tensors_in
from prunetui.engine.convolutions import make_safe_for
from prunetui.engine.cuda_graph import Repeated
from prunetui.engine.device import Device
from prunetui.engine.epoch_progress import EpochProgress
from prunetui.engine.learning_rate import learning_rate
from prunetui.engine.optimizer import MaskGuard, buffers, make_optimizer, restore, set_lr
from prunetui.engine.randomness import (
    epoch_seed,
    generator_states,
    generators_restored,
    seed_everything,
    set_generator_states,
)
from prunetui.engine.ranked_groups import without_group
from prunetui.engine.train_job import START, Hooks, Shape, TrainJob, TrainProgress, TrainState, WithinEpoch
from prunetui.errors import Interrupted, TrialError, UnrankedError

REPORT_SECONDS = 0.5
SAVE_SECONDS = 300.0
"""Between two times that the middle of an epoch is saved."""
METHOD = "method"
CHECKED = 32
"""Examples whose outputs are looked at after a training: a whole batch of 512 took a third of a step's time."""


def train(
    model: nn.Module, task: Task, source: Source, job: TrainJob, start: TrainState, device: Device, hooks: Hooks
) -> TrainState:
    """Train ``model`` in place; returns the optimiser's state, the masks and what a method noted.

    Raises:
        TrialError: the loss is not finite, or the device is out of memory.
        Interrupted: ``hooks.should_stop`` said so, at the latest after one batch.
    """
    example = mapped(source.example(), lambda tensor: tensor.to(device.torch))
    make_safe_for(model, lambda: called(model.eval(), task.inputs(example)))
    loop = _Loop(model, task, source, job, start, device, hooks)
    # A method that shapes training may do anything between two steps, which no recording can repeat.
    step = Repeated(loop.step) if device.graphs and not job.shape else loop.step
    model.train()
    try:
        with generators_restored():
            for epoch in range(job.first, job.end):
                loop.epoch(epoch, step, start.within if epoch == job.first else START)
                if epoch + 1 < job.end:
                    hooks.save(epoch + 1, loop.state())
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        size = job.recipe.batch_size
        raise TrialError(f"out of memory on {device.name} with batches of {size}; lower batch_size") from None
    finally:
        model.eval()
    _check_outputs(model, task, source, job)
    return loop.state()


def _check_outputs(model: nn.Module, task: Task, source: Source, job: TrainJob) -> None:
    """The last step may blow up a net whose last loss was still fine: a few examples tell."""
    batch = next(source.batches("train", min(CHECKED, job.recipe.batch_size)))
    with torch.no_grad():
        outputs = tensors_in(called(model, task.inputs(mapped(batch, itemgetter(slice(CHECKED))))))
    if not all(bool(torch.isfinite(output).all()) for output in outputs):
        raise TrialError(f"the trained net's outputs are not finite; a lower lr than {job.recipe.lr:g} may help")


@dataclass(frozen=True)
class _BatchResult:
    """Of one step of the optimiser: the summed loss, and what training metrics are computed from."""

    loss: Tensor
    metrics: Accumulator


class _Loop:
    """One training: the network, its optimiser, the masks in force, and the method that shapes it."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        source: Source,
        job: TrainJob,
        start: TrainState,
        device: Device,
        hooks: Hooks,
    ) -> None:
        self.model, self.task, self.source, self.job, self.device, self.hooks = model, task, source, job, device, hooks
        self.recipe = job.recipe
        self.bf16 = device.arithmetic(job.recipe.precision) == "bf16"
        self.batches = source.batches_in_epoch(self.recipe.batch_size)
        self.optimizer = make_optimizer(model, self.recipe, device)
        restore(self.optimizer, model, start.momentum)
        shape = job.shape or Shape(None, Constraints())
        self.training = Training(
            model=model,
            constraints=shape.constraints,
            # Copies: a method that writes into them must not reach the state that the training began with.
            masks={name: mask.to(device.torch, copy=True) for name, mask in start.masks.items()},
            memory={name: tensor.to(device.torch, copy=True) for name, tensor in start.memory.items()},
            generator=torch.Generator(),
            held={name: mask.to(device.torch) for name, mask in shape.held.items()},
            batches=self.batches,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
            total=(job.end - job.begun) * self.batches,
            reset_momentum=self.optimizer.state.clear,
        )
        self.mask_guard = MaskGuard(model, self.optimizer, self.training.masks)
        self.kept: dict[str, Any] = {}
        """Objects that the task keeps from batch to batch of an epoch."""

    def state(self) -> TrainState:
        return TrainState(buffers(self.optimizer, self.model), dict(self.training.masks), dict(self.training.memory))

    def epoch(self, epoch: int, step: Callable[[Batch], _BatchResult], within: WithinEpoch) -> None:
        """One pass over the training examples, from ``within`` on; reported twice a second."""
        self.kept.clear()
        shown = EpochProgress(self.device.torch, self.kept, within.sums)
        reported = saved = time.monotonic()
        for number, batch in enumerate(self._seeded(epoch, within), within.batch):
            lr = self._set_lr(epoch, number)
            result = step(batch)
            shown.add(result.loss, result.metrics, count_of(batch))
            now, done = time.monotonic(), number + 1
            if done == self.batches or now - reported > REPORT_SECONDS:
                reported = now
                self._report(epoch, shown, lr, finished=done == self.batches)
            if self.hooks.should_stop():
                self._save(epoch, done, shown)
                raise Interrupted("stopped while training")
            if now - saved > SAVE_SECONDS and done < self.batches:
                saved = now
                self._save(epoch, done, shown)

    def _seeded(self, epoch: int, within: WithinEpoch) -> Iterator[Batch]:
        """The batches of an epoch from ``within`` on, with all generators as they were there."""
        key = self.job.key
        seed_everything(epoch_seed(f"{key}:network", epoch), gpus=True)  # what the network draws, as dropout does
        self.training.generator.manual_seed(epoch_seed(f"{key}:method", epoch))
        generator = torch.Generator().manual_seed(epoch_seed(key, epoch))
        batches = self.source.epoch(self.recipe.batch_size, generator, within.batch)
        if within.generators:
            set_generator_states(within.generators, self.device.torch)
            self.training.generator.set_state(within.generators[METHOD])
        return batches

    def _save(self, epoch: int, batch: int, shown: EpochProgress) -> None:
        """Keep a training after this batch of an epoch."""
        within = START
        if batch == self.batches:
            epoch += 1
        else:
            generators = generator_states(self.device.torch) | {METHOD: self.training.generator.get_state()}
            within = WithinEpoch(batch, generators, shown.sums())
        self.hooks.save(epoch, replace(self.state(), within=within))

    def _report(self, epoch: int, shown: EpochProgress, lr: float, finished: bool) -> None:
        job, examples = self.job, self.source.length("train")
        loss = shown.loss()
        if not math.isfinite(loss):
            high = self.recipe.lr
            raise TrialError(f"the loss became {loss} in epoch {epoch + 1}; a lower lr than {high:g} may help")
        done = (epoch - job.begun) * examples + (examples if finished else shown.seen)
        total, metric = (job.end - job.begun) * examples, self._metric(shown)
        self.hooks.report(TrainProgress(done, total, epoch + 1, shown.rate(), loss, metric, lr, finished))

    def _set_lr(self, epoch: int, batch: int) -> float:
        place = epoch * self.batches + batch
        lr: float = self.recipe.lr * learning_rate(self.recipe.schedule, place / (self.recipe.epochs * self.batches))
        set_lr(self.optimizer, lr)
        training, begun = self.training, self.job.begun * self.batches
        training.lr, training.batch = lr, place - begun
        training.progress = training.batch / training.total
        return lr

    def step(self, batch: Batch) -> _BatchResult:
        """One step of the optimiser."""
        recorded = RecordedOutputs(self.model, self._arithmetic)
        loss = self.task.training_loss(recorded, batch, self.recipe.label_smoothing)
        loss = self._imitating(loss, recorded, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.job.shape:
            self._shape(self.job.shape.hook)
        self.optimizer.step()
        self.mask_guard.apply()
        if self.job.shape:
            self._shape(self.job.shape.after_step)
        metrics = Accumulator(self.kept)
        with torch.no_grad():
            self.task.training_metrics(recorded.again(), batch, metrics)
            return _BatchResult(loss.detach() * count_of(batch), metrics)

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.device.torch.type, torch.bfloat16, enabled=self.bf16)

    def _imitating(self, loss: Tensor, recorded: RecordedOutputs, batch: Batch) -> Tensor:
        teacher = self.job.teacher
        if teacher is None:
            return loss
        with torch.no_grad():
            taught = called(RecordedOutputs(teacher.model, self._arithmetic), self.task.inputs(batch))
        outputs = recorded.calls[-1][1]
        return self.task.imitation(loss, outputs, taught, teacher.weight, teacher.temperature)

    def _shape(self, hook: Callable[[Training], None] | None) -> None:
        if hook is None:
            return
        before = {name: (mask, mask._version) for name, mask in self.training.masks.items()}
        with torch.no_grad():
            self._of_ranked(hook)
        after = self.training.masks
        same = [name for name, (mask, seen) in before.items() if after.get(name) is mask and mask._version == seen]
        if not len(same) == len(before) == len(after):  # some were replaced or written into, came or were lifted
            self.mask_guard = MaskGuard(self.model, self.optimizer, after)
            self.mask_guard.apply()  # weights and momentum that are dropped do not move in this step either

    def _of_ranked(self, hook: Callable[[Training], None]) -> None:
        """Of the groups that the method can rank; which it cannot it says before it changes anything."""
        while True:
            try:
                return hook(self.training)
            except UnrankedError as error:
                self.training.constraints = without_group(self.training.constraints, error)

    def _metric(self, shown: EpochProgress) -> float:
        """The primary metric of an epoch so far; not a number where the task does not tell it in training."""
        return self.task.figures(shown.metrics).get(self.task.measures[0].key, math.nan) if shown.is_whole else math.nan
