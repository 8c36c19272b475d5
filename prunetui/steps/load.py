"""The first step of every path: the dense network before anything is done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunetui.tree.step import Step

if TYPE_CHECKING:
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext


@dataclass(frozen=True)
class Load(Step):
    """The fresh network of a seed, or the checkpoint's, whose own zeros are masks."""

    label = "load"

    def apply(self, context: StepContext, state: State | None = None) -> State:
        """The dense network.

        Raises:
            UsageError: the checkpoint does not fit.
        """
        import torch

        from prunetui.engine.models import build
        from prunetui.engine.models.start import started
        from prunetui.engine.state import State

        architecture, model = context.architecture, context.model
        if model.checkpoint:
            start = started(model, architecture.channels, architecture.size, architecture.classes)
            return State(architecture, start.tensors, start.masks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            net = build(architecture)
        return State(architecture, {name: t.clone() for name, t in net.state_dict().items()})
