"""Batch-norm statistics estimated anew, which an edit makes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunetui.tree.step import SplitSizes, Step

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Calibrate(Step):
    """Re-estimate batch-norm statistics on ``images`` training images."""

    images: int

    label = "re-estimate batch norm"

    def work(self, images: SplitSizes) -> int:
        return min(self.images, images.train)

    def apply(self, context: StepContext, state: State) -> State:
        """The state with batch-norm statistics of training images."""
        from prunetui.engine.evaluation import CALIBRATION_BATCH, recalibrate
        from prunetui.engine.state import capture, instantiate

        model = instantiate(state, context.device.torch)
        sample = context.source.sample(self.images, context.generator(), CALIBRATION_BATCH)
        recalibrate(model, context.task, sample)
        return capture(model, state, state.momentum)
