"""What training is given and what it gives back: the job, the state that goes with a network, and callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from prunetui.api import Training
from prunetui.api.constraints import Constraints
from prunetui.config import Recipe


@dataclass(frozen=True)
class WithinEpoch:
    """The middle of an epoch: how many of its batches are done, and what the rest of them depends on."""

    batch: int = 0
    generators: Mapping[str, Tensor] = field(default_factory=dict)
    """States of the generators that the network, the method and a user's data draw from."""
    sums: Mapping[str, Tensor] = field(default_factory=dict)
    """Of the losses and metrics so far."""


START = WithinEpoch()
"""No batch is done."""


@dataclass(frozen=True)
class TrainState:
    """What goes with a network through training: optimiser state, masks, a method's notes."""

    momentum: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    within: WithinEpoch = START


@dataclass(frozen=True)
class TrainProgress:
    """How far a training is; the loss and the task's primary metric are of the current epoch so far."""

    done: int
    total: int
    epoch: int
    images_per_second: float
    loss: float
    metric: float
    lr: float
    epoch_finished: bool


@dataclass(frozen=True)
class Hooks:
    """Training callbacks."""

    report: Callable[[TrainProgress], None]
    save: Callable[[int, TrainState], None]
    """Called with the finished epochs of the recipe and what is needed to resume.

    After each epoch but the last; within one every few minutes, and when the training stops.
    """
    should_stop: Callable[[], bool]


@dataclass(frozen=True)
class Shape:
    """A method's ``during_training`` and ``after_step``, and what they may change."""

    hook: Callable[[Training], None] | None
    constraints: Constraints
    after_step: Callable[[Training], None] | None = None
    held: Mapping[str, Tensor] = field(default_factory=dict)
    """Masks in force before the training, also where it goes on after an interruption."""


@dataclass(frozen=True)
class Teacher:
    """A network to imitate, with what weight in the loss, and at which temperature."""

    model: nn.Module
    weight: float
    temperature: float


@dataclass(frozen=True)
class TrainJob:
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
