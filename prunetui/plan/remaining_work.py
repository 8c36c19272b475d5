"""Which steps of a plan are still to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prunetui.tree import Node, Plan, Trial, step_key


def missing(plan: Plan, trials: Iterable[Trial], is_there: Callable[[Node], bool]) -> dict[str, Node]:
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
            for needed in plan.nodes[key].step.needs():
                add(needed)
            key = plan.nodes[key].parent

    for trial in trials:
        add(trial.after)
        for key, step in plan.measurements[trial.id].values():
            node = plan.nodes[step_key(key, step)]
            if is_missing(node):
                found[node.key] = node
                add(key)
    return found
