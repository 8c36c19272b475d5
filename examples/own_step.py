"""A kind of step: weights rounded to few bits. Only the repository can add one.

As ``prunetui/steps/round_weights.py`` it is one file, and one line in ``prunetui/steps/__init__.py``; ``prunetui/plan``
says where a study has it. Keys, the store, resuming, progress and events ask the step itself for all that they need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prunetui.errors import TrialError
from prunetui.tree.step import Step

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class RoundWeights(Step):
    """Round each layer's weights to ``2 ** bits - 1`` levels that are symmetric about zero."""

    bits: int

    @property
    def label(self) -> str:
        return f"round weights to {self.bits} bits"

    def apply(self, context: StepContext, state: State) -> State:
        """The state with rounded weights; zeros stay zeros.

        Raises:
            TrialError: there are too few bits for three levels.
        """
        if self.bits < 2:
            raise TrialError(f"weights cannot be rounded to {self.bits} bits; the least is 2: -w, 0 and w")
        rounded = dict(state.tensors)
        for name in (f"{layer}.weight" for layer, kind in context.graph.layers.items() if kind.prunable):
            weight = rounded[name]
            level = (weight.abs().max() / (2 ** (self.bits - 1) - 1)).clamp_min(1e-30)  # of a layer of zeros
            rounded[name] = (weight / level).round() * level
        return replace(state, tensors=rounded)
