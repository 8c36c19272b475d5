"""How much a step is, and which steps of a plan are still to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prunetui.config import Study
from prunetui.plan.steps import Calibrate, Measure, Prune, Step, Train, needs
from prunetui.plan.tree import Node, Plan, Trial, step_key
from prunetui.plan.unroll import measurements

TRAINING_WORK = 3
"""A training image costs about three forward passes."""


@dataclass(frozen=True)
class Images:
    """How many images each split has."""

    train: int
    validation: int
    test: int


def work(step: Step, images: Images) -> int:
    """The size of a step in images passed forward."""
    if isinstance(step, Train):
        return TRAINING_WORK * step.epochs * images.train
    if isinstance(step, Measure):
        return images.test if step.split == "test" else images.validation
    return min(step.images, images.train) if isinstance(step, Calibrate | Prune) else 0


def missing(plan: Plan, study: Study, trials: Iterable[Trial], is_there: Callable[[Node], bool]) -> dict[str, Node]:
    """The steps that ``trials`` still need: from the last states that are there to their measurements."""
    found: dict[str, Node] = {}
    there: dict[str, bool] = {}  # thousands of trials share the steps that they ask for

    def is_missing(node: Node) -> bool:
        if node.key not in there:
            there[node.key] = is_there(node)
        return not there[node.key]

    def add(key: str | None) -> None:
        while key and key not in found and is_missing(plan.nodes[key]):
            found[key] = plan.nodes[key]
            for needed in needs(plan.nodes[key].step):
                add(needed)
            key = plan.nodes[key].parent

    for trial in trials:
        add(trial.after)
        for key, step in measurements(study, trial).values():
            node = plan.nodes[step_key(key, step)]
            if is_missing(node):
                found[node.key] = node
                add(key)
    return found
