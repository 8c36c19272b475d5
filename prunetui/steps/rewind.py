"""Going back to earlier weights, as lottery tickets do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prunetui.errors import TrialError
from prunetui.tree.step import Step

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Rewind(Step):
    """Give what is left of the network the weights it had in the state with the key ``to``."""

    to: str
    epoch: int

    @property
    def label(self) -> str:
        return f"rewind to epoch {self.epoch}"

    def needs(self) -> tuple[str, ...]:
        return (self.to,)

    def apply(self, context: StepContext, state: State) -> State:
        """What is left of the network with weights and statistics of an earlier state of the dense one.

        Raises:
            TrialError: the network shares filters, which it did not then.
        """
        import torch

        from prunetui.engine import edits
        from prunetui.formats.shared_filters import sharing_layers

        if sharing_layers(state.tensors):
            raise TrialError("a network that shares filters cannot go back to weights that it did not share")
        early, graph = context.state(self.to), context.graph
        keep = {name: torch.zeros(graph.dense[name], dtype=torch.bool) for name in state.kept}
        for name, index in state.kept.items():
            keep[name][index] = True
        then = edits.remove_channels(keep, replace(early, momentum={}, masks={}), graph)
        return edits.apply_masks(state.masks, then)
