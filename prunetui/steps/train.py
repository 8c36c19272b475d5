"""Training by a recipe: of the dense network, as recovery, or shaped by a method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from prunetui.errors import TrialError
from prunetui.plugins.method_source import HOOKS
from prunetui.plugins.own_files import short
from prunetui.tree.step import SplitSizes, Step

if TYPE_CHECKING:
    from torch import Tensor

    from prunetui.config import Recipe
    from prunetui.engine.graph import Graph
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext
    from prunetui.engine.train_job import Shape, Teacher

TRAINING_WORK = 3
"""A training image costs about three forward passes."""


@dataclass(frozen=True)
class Train(Step):
    """Train by ``recipe``; ``carry`` goes on with the optimiser's momentum of the training before.

    The epochs are those from ``first`` to ``last`` (excluded) of the recipe, with their learning rates and images.
    """

    recipe: Recipe
    """A table of the study: [train] or [finetune]."""
    carry: bool = False
    first: int = 0
    last: int | None = None
    shaped: dict[str, Any] | None = None
    """The method whose hooks shape it: its name, options, digest and, if it asks, the value."""
    teacher: str | None = None
    """Key of the state to imitate, where the recipe distils."""

    trains = True

    @property
    def carries_momentum(self) -> bool:
        return self.carry

    @property
    def runs_method(self) -> bool:
        return self.shaped is not None

    @property
    def label(self) -> str:
        how = f" shaped by {short(self.shaped['method'])}" if self.shaped else ""
        return f"train {self.epochs} epoch{'s' if self.epochs != 1 else ''}{how}"

    @property
    def epochs(self) -> int:
        return (self.recipe.epochs if self.last is None else self.last) - self.first

    def work(self, images: SplitSizes) -> int:
        return TRAINING_WORK * self.epochs * images.train

    def needs(self) -> tuple[str, ...]:
        return (self.teacher,) if self.teacher else ()

    def plain(self) -> dict[str, Any]:
        shaped = {**self.shaped, "method": short(self.shaped["method"])} if self.shaped else None
        return {**super().plain(), "recipe": self.recipe.model_dump(), "shaped": shaped}

    def place(self, path: Sequence[Step]) -> int:
        """A training that begins in the middle of a recipe sees the images it would have seen from the start.

        So it has the place of the last training on the path that began the same recipe.
        """
        begun = [step for step in path if isinstance(step, Train) and not step.first]
        if not self.first:
            return len(begun)
        return [i for i, step in enumerate(begun, 1) if step.recipe == self.recipe][-1]

    def apply(self, context: StepContext, state: State) -> State:
        """The state after the training, which goes on where an interrupted one left it.

        Raises:
            TrialError: the loss is not finite, memory does not suffice, or the method that shapes it moved too much.
            Interrupted: it was asked to stop.
        """
        from prunetui.engine.state import capture, instantiate
        from prunetui.engine.train_job import Hooks, TrainJob, TrainState
        from prunetui.engine.training_loop import train

        first, within, start = context.resumed(self.first, state if self.carry else state.without_momentum())
        model = instantiate(start, context.device.torch)
        job = TrainJob(
            recipe=self.recipe,
            key=context.randomness,
            first=first,
            last=self.last,
            shape=self._shape(state, context.graph),
            teacher=self._teacher(context),
            begun=self.first,
        )
        hooks = Hooks(
            partial(context.report, self.first + self.epochs), partial(context.save, model), context.should_stop
        )
        given = TrainState(start.momentum, start.masks, start.memory, within)
        after = train(model, context.task, context.source, job, given, context.device, hooks)
        trained = capture(model, start, after.momentum if context.keeps_momentum else None)
        if not self.shaped:
            return trained
        # Compared with ``state``, not with ``start``, which an interrupted training may have changed.
        check_shaped(self.shaped["method"], state, after.masks)
        memory = {name: tensor.cpu() for name, tensor in after.memory.items()}
        return replace(trained, masks={name: mask.cpu() for name, mask in after.masks.items()}, memory=memory)

    def _teacher(self, context: StepContext) -> Teacher | None:
        """The network to imitate, and how much."""
        if not self.teacher:
            return None
        from prunetui.config.recipes import FinetuneTable
        from prunetui.engine.state import instantiate
        from prunetui.engine.train_job import Teacher

        assert isinstance(self.recipe, FinetuneTable)
        net = instantiate(context.state(self.teacher), context.device.torch)
        return Teacher(net, self.recipe.distill, self.recipe.temperature)

    def _shape(self, state: State, graph: Graph) -> Shape | None:
        """The method that shapes the training, and what it may look at."""
        if not self.shaped:
            return None
        from prunetui.engine.own_share import own_share
        from prunetui.engine.train_job import Shape
        from prunetui.plugins import method_catalogue

        info = method_catalogue.method_info(self.shaped["method"])
        method: Any = method_catalogue.load(info.name)(**self.shaped["options"])
        target, value = self.shaped.get("target", "sparsity"), self.shaped.get("value")
        rules = self.shaped["rules"]
        exclude = rules.get("exclude", ())
        if value is not None and info.edit == "masks" and target == "sparsity":
            value = own_share(value, exclude, state, graph)
        constraints = graph.constraints(state, edit=info.edit, target=target, floor=rules["floor"], exclude=exclude)
        before, after = (hook_of(method, name, value) for name in HOOKS)
        return Shape(before, constraints, after, held=state.masks)


def hook_of(method: Any, name: str, value: float | None) -> Any:
    """A hook of a method, which is told the sparsity if it asks for it; None where the method has none of this name."""
    hook: Any = getattr(method, name, None)
    asks = hook is not None and "sparsity" in inspect.signature(hook).parameters
    return partial(hook, sparsity=value) if asks else hook


def check_shaped(method: str, before: State, masks: Mapping[str, Tensor]) -> None:
    """Assert that a method that moved masks while training removed neither more nor less.

    Raises:
        TrialError: it did.
    """
    was = {name: int((~mask).sum()) for name, mask in before.masks.items()}
    removed = {name: int((~mask).sum()) for name, mask in masks.items()}
    if sum(was.values()) != sum(removed.values()):
        raise TrialError(
            f"{method} changed the number of pruned weights while training: "
            f"{sum(was.values())} before, {sum(removed.values())} after"
        )
