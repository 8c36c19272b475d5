"""A method's edit of a state, checked: it did what was asked and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prunetui.plugins.own_files import short
from prunetui.tree.step import SplitSizes, Step

if TYPE_CHECKING:
    from torch import nn

    from prunetui.api import Net
    from prunetui.engine.graph import Graph
    from prunetui.engine.method_edit import MethodEdit
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext

EQUIVALENCE_IMAGES = 4


@dataclass(frozen=True)
class Prune(Step):
    """Apply the edit of a method at ``target:value``; ``digest`` is the hash of its source file."""

    method: str
    options: dict[str, Any]
    digest: str
    target: str
    value: float
    progress: float
    """Place of this prune step in its schedule, in (0, 1]."""
    images: int
    """Training images a data-driven method may look at."""
    rules: dict[str, Any] = field(default_factory=lambda: {"floor": 0.0})
    """The study's layer rules, with the layers that the method leaves alone besides."""
    only: str | None = None
    """The one layer, or group of coupled channels, that is pruned; ``value`` is then a fraction of it."""

    runs_method = True

    @property
    def label(self) -> str:
        return f"prune {short(self.method)} {self.target}:{self.value:g}{f' of {self.only}' if self.only else ''}"

    def plain(self) -> dict[str, Any]:
        """A file of the user's is told by its content, which ``digest`` is of, and not by its place."""
        return {**super().plain(), "method": short(self.method)}

    def work(self, images: SplitSizes) -> int:
        return min(self.images, images.train)

    def apply(self, context: StepContext, state: State) -> State:
        """The state after the edit; a net that came with zeros enough stays as it is.

        Raises:
            TrialError: the edit misses its target, the method changed the net itself, or removal is not exact.
        """
        from prunetui import events
        from prunetui.api import Channels
        from prunetui.engine import edits
        from prunetui.engine.method_edit import edited
        from prunetui.engine.state import instantiate
        from prunetui.engine.verify_edit import reached_already
        from prunetui.plugins import method_catalogue

        graph = context.graph
        if reached_already(self.target, self.value, self.only, state, graph):
            return state
        kind = method_catalogue.method_info(self.method).edit
        method = method_catalogue.load(self.method)(**self.options)
        net = self._net(context, state, instantiate(state, context.device.torch), kind)
        made = edited(self, kind, method, net, state, graph)
        for line in (*made.told_unranked(), *self._collapsed(made, graph)):
            context.emit(events.Log("info", f"{short(self.method)}: {line}"))
        if isinstance(made.edit, Channels) and not made.edit.moved:
            seen = next(context.source.sample(self.images, context.generator(), EQUIVALENCE_IMAGES))
            probe = context.task.inputs(seen)  # of what the method saw
            edits.check_removal(made.edit.keep, state, made.after, graph, probe)
        return made.after

    def _collapsed(self, made: MethodEdit, graph: Graph) -> list[str]:
        """A line on layers of which next to nothing is left, if there are any."""
        from prunetui.api import Channels
        from prunetui.engine.layer_collapse import collapsed
        from prunetui.engine.verify_edit import achieved

        if self.only or not isinstance(made.edit, Channels):
            return []
        gone, widths = achieved(self.target, made.after, graph), graph.widths(made.after.tensors)
        line = collapsed(graph.dense, widths, gone, "layers.floor = 0.1")
        return [line] if line else []

    def _net(self, context: StepContext, state: State, model: nn.Module, edit: str) -> Net:
        """What the method sees of a state."""
        from prunetui.api import Net
        from prunetui.engine.evaluation import CALIBRATION_BATCH

        graph, generator = context.graph, context.generator()
        return Net(
            model=model,
            masks={name: mask.to(context.device.torch, copy=True) for name, mask in state.masks.items()},
            batches=list(context.source.sample(self.images, generator, CALIBRATION_BATCH)),
            generator=generator,
            constraints=graph.constraints(
                state,
                edit=edit,
                target=self.target,
                floor=self.rules["floor"],
                only=self.only,
                exclude=self.rules.get("exclude", ()),
            ),
            progress=self.progress,
            task=context.task,
            memory=state.memory,
        )
