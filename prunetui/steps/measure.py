"""Accuracy and loss of a state."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prunetui.tree.step import Images, Measurement

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Measure(Measurement):
    """Accuracy on a split as float32 gives it, and, if asked for, the mean loss, estimated to within 0.001."""

    split: str
    batch_size: int
    loss: bool = False

    @property
    def label(self) -> str:
        return f"measure on {self.split}"

    def work(self, images: Images) -> int:
        return images.test if self.split == "test" else images.validation

    def apply(self, context: StepContext, state: State) -> dict[str, Any]:
        """The figures by name.

        Raises:
            Interrupted: it was asked to stop.
        """
        from prunetui.engine.measure import evaluate
        from prunetui.engine.state import instantiate

        data, device = context.data, context.device
        images = data.test if self.split == "test" else data.validation
        model = instantiate(state, device.torch)
        how = {"loss": self.loss, "screened": device.bf16}
        return asdict(evaluate(model, data, images, self.batch_size, context.should_stop, **how))
