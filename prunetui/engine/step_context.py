"""What a step finds when it is done: data, device, other states, and what training asks of whoever runs it.

The sources of a step's key begin here and at its own file, so what is imported here counts as code of every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from torch import nn

from prunetui import events
from prunetui.api import Source, Task
from prunetui.config import ModelTable
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.keep import Partials
from prunetui.engine.models import Architecture
from prunetui.engine.partial import partial_bytes, read_partial
from prunetui.engine.randomness import epoch_seed
from prunetui.engine.state import State
from prunetui.engine.tied_tensors import ties_of, under_all_names
from prunetui.engine.train_job import START, TrainProgress, TrainState, WithinEpoch

UNREADABLE = (SafetensorError, KeyError, ValueError, RuntimeError, TypeError)
"""What the content of a file raises that is not of this format, though its checksum fits."""


@dataclass(frozen=True)
class StepContext:
    """What a step may use, and its callbacks."""

    key: str
    seed: int
    randomness: str
    """What the step's randomness is called: alike for steps that shall see the same images."""
    model: ModelTable
    architecture: Architecture
    graph: Graph
    source: Source
    task: Task
    device: Device
    state: Callable[[str], State]
    """The state after another step, by its key."""
    keeps_momentum: bool
    """Whether a later training goes on with the momentum of the state that this step makes."""
    partials: Partials
    emit: Callable[[events.Event], None]
    should_stop: Callable[[], bool]

    def generator(self) -> torch.Generator:
        """A generator of this step's randomness; every call gives one in the same state."""
        return torch.Generator().manual_seed(epoch_seed(self.randomness, 0))

    def report(self, epochs: int, progress: TrainProgress) -> None:
        """Report the progress of a training that ends after ``epochs`` of its recipe."""
        self.emit(
            events.Progress(
                self.key, progress.done, progress.total, progress.epoch, epochs,
                round(progress.images_per_second, 1), round(progress.loss, 6), progress.lr,
            )
        )  # fmt: skip
        if progress.epoch_finished:
            self.emit(events.EpochFinished(self.key, progress.epoch, epochs, progress.loss, progress.metric))

    def save(self, model: nn.Module, epoch: int, state: TrainState) -> None:
        """Keep a training as it is now, to go on from if it is interrupted."""
        self.partials.save(self.key, partial_bytes(epoch, model, state))

    def resumed(self, first: int, start: State) -> tuple[int, WithinEpoch, State]:
        """The epoch and the place in it at which a training goes on, and the state there; else as given."""
        data = self.partials.load(self.key)
        if data is None:
            return first, START, start
        try:
            epochs, tensors, saved = read_partial(data)
        except UNREADABLE as error:
            self.partials.damaged(self.key, f"{type(error).__name__}: {error}")
            return first, START, start
        tensors = under_all_names(tensors, ties_of(start.tensors))
        state = replace(start, tensors=tensors, masks=saved.masks, momentum=saved.momentum, memory=saved.memory)
        return epochs, saved.within, state
