"""Metrics and loss of a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prunetui.tree.step import Measurement, SplitSizes

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Measure(Measurement):
    """The task's metrics on a split as float32 gives them, and, if asked for, the mean loss."""

    split: str
    batch_size: int
    loss: bool = False

    @property
    def label(self) -> str:
        return f"measure on {self.split}"

    def work(self, images: SplitSizes) -> int:
        return images.test if self.split == "test" else images.validation

    def apply(self, context: StepContext, state: State) -> dict[str, Any]:
        """The figures by name.

        Raises:
            Interrupted: it was asked to stop.
        """
        from prunetui.engine.evaluation import evaluate
        from prunetui.engine.state import instantiate

        device = context.device
        model = instantiate(state, device.torch)
        how = {"loss": self.loss, "bf16": device.bf16}
        return evaluate(model, context.task, context.source, self.split, self.batch_size, context.should_stop, **how)
