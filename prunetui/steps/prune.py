"""A method's edit of a state, checked: it did what was asked and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prunetui.errors import TrialError
from prunetui.plugins.own_files import short
from prunetui.tree.step import SplitSizes, Step

if TYPE_CHECKING:
    from torch import nn

    from prunetui.api import Net
    from prunetui.engine.graph import Graph
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext

EQUIVALENCE_IMAGES = 4
MOST_ATTEMPTS = 10


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
    """The study's layer rules."""
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
        from prunetui.api import Channels
        from prunetui.engine import edits
        from prunetui.engine.state import instantiate
        from prunetui.engine.verify_edit import check_achieved, reached_already
        from prunetui.plugins import method_catalogue

        graph = context.graph
        if reached_already(self.target, self.value, self.only, state, graph):
            return state
        edits_what = method_catalogue.method_info(self.method).edit
        method = method_catalogue.load(self.method)(**self.options)
        model = instantiate(state, context.device.torch)
        net = self._net(context, state, model, edits_what)
        edit, after = self._edited(method, net, asked_of(edits_what, self, state, graph), state, graph)
        self._check_untouched(model, state)
        if isinstance(edit, Channels) and not edit.moved:
            seen = next(context.source.sample(self.images, context.generator(), EQUIVALENCE_IMAGES))
            probe = context.task.inputs(seen)  # of what the method saw
            edits.check_removal(edit.keep, state, after, graph, probe)
        check_achieved(self, edit, state, after, graph)
        return after

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
                state, edit=edit, target=self.target, floor=self.rules["floor"], only=self.only
            ),
            progress=self.progress,
            task=context.task,
            memory=state.memory,
        )

    def _edited(self, method: Any, net: Net, asked: float, state: State, graph: Graph) -> tuple[Any, State]:
        """A method's edit and the state after it.

        Channels take zeros with them that were counted already. How many depends on which channels go, so a method is
        asked again, for more or fewer, until the net has the sparsity that the step wants.
        """
        from prunetui.api import Channels
        from prunetui.api.budget import TOLERANCE
        from prunetui.engine import edits
        from prunetui.engine.verify_edit import achieved

        randomness = net.generator.get_state()
        edit = method.prune(net, asked)
        after = edits.apply(edit, state, graph)
        if not (isinstance(edit, Channels) and state.masks and self.target == "sparsity"):
            return edit, after
        best, low, high = (edit, after), 0.0, asked  # zeros are only added: never more channels than without them
        for _ in range(MOST_ATTEMPTS):
            reached = achieved("sparsity", after, graph)
            if abs(reached - self.value) < abs(achieved("sparsity", best[1], graph) - self.value):
                best = edit, after
            if abs(achieved("sparsity", best[1], graph) - self.value) <= TOLERANCE / 2:
                break
            low, high = (asked, high) if reached < self.value else (low, asked)
            asked = (low + high) / 2
            net.generator.set_state(randomness)
            edit = method.prune(net, asked)
            after = edits.apply(edit, state, graph)
        return best

    def _check_untouched(self, model: nn.Module, state: State) -> None:
        import torch

        left = model.state_dict()
        if any(not torch.equal(left[name], t.to(left[name].device)) for name, t in state.tensors.items()):
            raise TrialError(f"the method {short(self.method)} changed the net; it may only return an edit")


def asked_of(edit: str, step: Prune, state: State, graph: Graph) -> float:
    """The value for a method: masks are of the weights that are there, the study's sparsity of the dense ones."""
    dense, present = graph.cost("sparsity", graph.dense), graph.present("sparsity", state.tensors)
    if edit != "masks" or step.target != "sparsity" or present == dense or step.only:
        return step.value
    left = 1 - (1 - step.value) * dense / present
    if left < 0:
        raise TrialError(f"{1 - present / dense:.2%} of the weights are already gone; {step.value:g} is below that")
    return left
