"""How long a forward pass of a state takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prunetui.tree.step import Measurement

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Latency(Measurement):
    """Time of a forward pass of each of these batches; only of nets that are physically there, not of masks."""

    batches: tuple[int, ...]

    label = "time latency"
    timed = True

    def apply(self, context: StepContext, state: State) -> dict[str, Any]:
        """Milliseconds by column of results.csv.

        Raises:
            Interrupted: it was asked to stop.
        """
        from prunetui.engine.latency_timing import latency

        return latency(state, self.batches, context.source, context.task, context.device, context.should_stop)
