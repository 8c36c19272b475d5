"""The kinds of steps a plan is made of: plain data, so that equal steps have equal keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Load:
    """The fresh network of a seed, or the checkpoint's."""


@dataclass(frozen=True)
class Train:
    """Train by ``recipe``; ``carry`` goes on with the optimiser's momentum of the training before."""

    recipe: dict[str, Any]
    carry: bool = False


@dataclass(frozen=True)
class Prune:
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


@dataclass(frozen=True)
class Calibrate:
    """Re-estimate batch-norm statistics on ``images`` training images."""

    images: int


@dataclass(frozen=True)
class Measure:
    """Accuracy and loss on a split, in float32."""

    split: str
    batch_size: int


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass of a batch; only of nets that are physically there, not of masks."""

    batch: int


Step = Load | Train | Prune | Calibrate | Measure | Latency


def label(step: Step) -> str:
    """A step in a few words."""
    if isinstance(step, Train):
        return f"train {step.recipe['epochs']} epochs"
    if isinstance(step, Prune):
        return f"prune {step.method} {step.target}:{step.value:g}"
    if isinstance(step, Calibrate):
        return "re-estimate batch norm"
    if isinstance(step, Measure):
        return f"measure on {step.split}"
    return "time latency" if isinstance(step, Latency) else "load"
