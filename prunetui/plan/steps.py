"""The kinds of steps a plan is made of: plain data, so that equal steps have equal keys."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Plain data as the one text that keys are hashes of."""


class Keyed:
    """A step whose part of a key is written once: a plan adds the same step after thousands of parents."""

    @cached_property
    def key_text(self) -> tuple[str, str]:
        """What stands before and after the parent's key in the text that is hashed, whose names are sorted."""
        plain = {**vars(self), "step": type(self).__name__}
        before = canonical({name: value for name, value in plain.items() if name < "parent"})[1:-1]
        after = canonical({name: value for name, value in plain.items() if name > "parent"})[1:-1]
        return f'{{{before}{"," if before else ""}"parent":', f",{after}}}"


@dataclass(frozen=True)
class Load(Keyed):
    """The fresh network of a seed, or the checkpoint's."""


@dataclass(frozen=True)
class Train(Keyed):
    """Train by ``recipe``; ``carry`` goes on with the optimiser's momentum of the training before.

    The epochs are those from ``first`` to ``last`` (excluded) of the recipe, with their learning rates and images.
    """

    recipe: dict[str, Any]
    carry: bool = False
    first: int = 0
    last: int | None = None
    shaped: dict[str, Any] | None = None
    """The method whose ``during_training`` shapes it: its name, options, digest and, if it asks, the value."""
    teacher: str | None = None
    """Key of the state to imitate, where the recipe distils."""

    @property
    def epochs(self) -> int:
        """How many epochs are trained."""
        end: int = self.recipe["epochs"] if self.last is None else self.last
        return end - self.first


@dataclass(frozen=True)
class Prune(Keyed):
    """Apply the edit of a method at ``target:value``; ``digest`` is the hash of its source file."""

    method: str
    options: dict[str, Any]
    digest: str
    target: str
    value: float
    progress: float
    """Place of this prune step in its schedule, in (0, 1]."""
    images: int
    """Training images a data-driven method may look at."""
    rules: dict[str, Any] = field(default_factory=lambda: {"floor": 0.0})
    """The study's layer rules."""
    only: str | None = None
    """The one layer, or group of coupled channels, that is pruned; ``value`` is then a fraction of it."""


@dataclass(frozen=True)
class Rewind(Keyed):
    """Give what is left of the network the weights it had in the state with the key ``to``."""

    to: str
    epoch: int


@dataclass(frozen=True)
class Calibrate(Keyed):
    """Re-estimate batch-norm statistics on ``images`` training images."""

    images: int


@dataclass(frozen=True)
class Measure(Keyed):
    """Accuracy on a split as float32 gives it, and, if asked for, the mean loss, estimated to within 0.001."""

    split: str
    batch_size: int
    loss: bool = False


@dataclass(frozen=True)
class Latency(Keyed):
    """Time of a forward pass of each of these batches; only of nets that are physically there, not of masks."""

    batches: tuple[int, ...]


Step = Load | Train | Prune | Rewind | Calibrate | Measure | Latency


def needs(step: Step) -> tuple[str, ...]:
    """Keys of the states a step looks at besides the one it starts from."""
    found = (step.to,) if isinstance(step, Rewind) else (step.teacher,) if isinstance(step, Train) else ()
    return tuple(key for key in found if key)


def label(step: Step) -> str:
    """A step in a few words."""
    if isinstance(step, Train):
        how = f" shaped by {step.shaped['method']}" if step.shaped else ""
        return f"train {step.epochs} epoch{'s' if step.epochs != 1 else ''}{how}"
    if isinstance(step, Prune):
        return f"prune {step.method} {step.target}:{step.value:g}{f' of {step.only}' if step.only else ''}"
    if isinstance(step, Rewind):
        return f"rewind to epoch {step.epoch}"
    if isinstance(step, Calibrate):
        return "re-estimate batch norm"
    if isinstance(step, Measure):
        return f"measure on {step.split}"
    return "time latency" if isinstance(step, Latency) else "load"
