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
    """The fresh network of a seed."""

    label = "load"

    def apply(self, context: StepContext, state: State | None = None) -> State:
        """The dense network, with weights drawn by the seed."""
        import torch

        from prunetui.engine.models import build
        from prunetui.engine.state import State
        from prunetui.engine.tied_tensors import copied_values

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            net = build(context.architecture)
        return State(context.architecture, copied_values(net))
