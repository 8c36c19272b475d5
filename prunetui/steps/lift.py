"""Lifting masks, so that what was pruned trains again, as dense-sparse-dense training does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prunetui.tree.step import Step

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Lift(Step):
    """Let only the masks stay that are in force in the state with the key ``to``; what they free is zero at first."""

    to: str

    label = "lift masks"

    def needs(self) -> tuple[str, ...]:
        return (self.to,)

    def apply(self, context: StepContext, state: State) -> State:
        """The network with its weights as they are."""
        return replace(state, masks=context.state(self.to).masks)
