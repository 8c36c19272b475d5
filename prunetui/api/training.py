"""What a method that shapes training sees around every step of the optimiser, and what it may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from prunetui.api.constraints import Constrained, Constraints


@dataclass
class Training(Constrained):
    """A network in training: for ``during_training`` before the optimiser's step, for ``after_step`` after it.

    Before the step a method may add to the gradients (a penalty); one that is set to None keeps its parameter out of
    the step. At both times it may replace entries of ``masks`` (weights that are not kept are zero from then on, and
    when they come back, unless it gives them another value), give prunable weights other values, and keep what it
    likes in ``memory``: tensors by name, which its ``prune`` finds again in ``net.memory``. Weights that are computed
    from others are trained so: before the step those others and their gradients stand in the weights' place, after it
    what they make. Nothing else may change, and the number of pruned weights is the same at the end of the training
    as at its start: a method whose ``prune`` comes after it calls ``lift_masks`` at the last step.
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
    held: Mapping[str, Tensor] = field(default_factory=dict)
    """Masks in force when this training began."""
    progress: float = 0.0
    """Place in this training before this batch, in [0, 1)."""
    batch: int = 0
    """Batches before this one in this training."""
    total: int = 1
    """Batches of this training."""
    batches: int = 1
    """Batches of one epoch."""
    lr: float = 0.0
    """Learning rate of this batch."""
    momentum: float = 0.0
    """Of SGD, with Nesterov's correction, or the first beta of AdamW."""
    weight_decay: float = 0.0
    """What the optimiser adds to a gradient for each unit of its parameter (AdamW: takes from the parameter)."""
    reset_momentum: Callable[[], None] = lambda: None
    """Make the optimiser forget all that it has gathered, as if it had made no step."""

    @property
    def is_last(self) -> bool:
        """Whether no batch comes after this one."""
        return self.batch + 1 >= self.total

    @property
    def gone(self) -> float:
        """Fraction of the prunable weights that was pruned before this training."""
        sizes = {name: weight.numel() for name, weight in self.parameters().items()}
        return sum(int((~mask).sum()) for name, mask in self.held.items() if name in sizes) / sum(sizes.values())

    def lift_masks(self) -> None:
        """Let the masks be those of the beginning; what a lifted mask has zeroed is zero until it is trained."""
        self.masks.clear()
        self.masks.update(self.held)

    def zero_filters(self, keep: Mapping[str, Tensor]) -> None:
        """Set what makes the channels that are not in ``keep``, by group [width], to zero; training may undo it."""
        for group in self.groups():
            for part in group.weights("makes"):
                weight: Tensor = self.model.get_parameter(part.tensor)
                weight *= part.spread(keep[group.name].to(weight.dtype), weight, elsewhere=1)
