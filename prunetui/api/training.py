"""What a method that shapes training sees after every backward pass, and what it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunetui.api.constraints import Constrained, Constraints


@dataclass
class Training(Constrained):
    """A network between a backward pass and the optimiser's step.

    A method's ``during_training`` may add to the gradients (a penalty), replace entries of ``masks`` (weights that
    are not kept are zeroed after the step, and are zero when they come back unless it gives them another value), set
    filters to zero, and keep what it likes in ``memory``: tensors by name, which its ``prune`` finds again in
    ``net.memory``. A gradient that is set to None keeps its parameter out of the step. Nothing else may change, and
    the number of pruned weights is the same at the end of the training as at its start.
    """

    model: nn.Module
    """The network in training mode, with gradients of this batch."""
    constraints: Constraints
    """What may go, what it costs, and how much must stay."""
    masks: dict[str, Tensor]
    """Masks in force, by layer name."""
    memory: dict[str, Tensor]
    """The method's own notes."""
    generator: torch.Generator
    """The only randomness a method may use (on the CPU)."""
    progress: float = 0.0
    """Place in this training, in [0, 1)."""
    batch: int = 0
    """Batches before this one in this training."""
    batches: int = 1
    """Batches of one epoch."""
    lr: float = 0.0
    """Learning rate of this batch."""

    def zero_filters(self, keep: Mapping[str, Tensor]) -> None:
        """Set what makes the channels that are not in ``keep``, by group [width], to zero; training may undo it."""
        for group in self.groups():
            for part in group.weights("makes"):
                weight: Tensor = self.model.get_parameter(part.tensor)
                weight *= part.spread(keep[group.name].to(weight.dtype), weight, elsewhere=1)
