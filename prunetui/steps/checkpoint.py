"""The first step of every path of a study that starts from a checkpoint.

A kind of its own, so that the code that reads files is no part of the keys of studies that read none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunetui.steps.load import Load

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Checkpoint(Load):
    """The network of the study's checkpoint, whose own zeros are masks; for who looks on, it is loaded as any other."""

    kind = Load.__name__

    def apply(self, context: StepContext, state: State | None = None) -> State:
        """The dense network as the checkpoint has it.

        Raises:
            UsageError: the checkpoint does not fit.
        """
        from prunetui.engine.models.start import started
        from prunetui.engine.state import State

        architecture = context.architecture
        start = started(context.model, architecture.channels, architecture.size, architecture.classes)
        return State(architecture, start.tensors, start.masks)
