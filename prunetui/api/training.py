"""What a method that shapes training sees after every backward pass, and what it may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunetui.api.budget import Costs
from prunetui.api.net import Group, prunable_layers


@dataclass
class Training:
    """A network between a backward pass and the optimiser's step.

    A method's ``during_training`` may add to the gradients (a penalty), replace entries of ``masks`` (weights that
    are not kept are zeroed after the step, and are zero when they come back) and keep what it likes in ``memory``:
    tensors by name, which its ``prune`` finds again in ``net.memory``. Nothing else may change.
    """

    model: nn.Module
    """The network in training mode, with gradients of this batch."""
    exempt: frozenset[str]
    """Layers that the study keeps as they are."""
    coupled: Sequence[Group]
    costs: Costs
    floor: float
    """Fraction of its weights, or channels, that every layer must keep."""
    target: str
    """What a sparsity is a fraction of."""
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

    def parameters(self) -> dict[str, Tensor]:
        """The prunable weights by layer; their ``grad`` is dense, also where weights are masked."""
        return {name: layer.weight for name, layer in prunable_layers(self.model, self.exempt).items()}  # type: ignore[misc]

    def groups(self) -> Sequence[Group]:
        """The groups of coupled channels that may be removed."""
        return self.coupled
