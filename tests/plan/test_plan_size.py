"""The work of planning grows with the number of trials, not with its square; and keys are what they were."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from prunetui.config import parse_study
from prunetui.config.read_study import load_study
from prunetui.plan import Plan, build_plan, digest, missing, step_key


def values(count: int) -> str:
    return "sparsities = [" + ", ".join(f"{(i + 1) / (count + 1):.6f}" for i in range(count)) + "]\n"


def methods(count: int, entry: str) -> str:
    entries = ", ".join("{ name = 'obs', " + entry.format((i + 1) / (count + 1), i) + " }" for i in range(count))
    return f"sparsities = [0.5]\nmethods = [{entries}]\n"


SHAPES: dict[str, Callable[[int], str]] = {
    "values": values,
    "seeds": lambda count: f"sparsities = [0.5]\nseeds = {list(range(count))}\n",
    "labelled methods": lambda count: methods(count, "label = 'm{1}'"),
    "twin methods": lambda count: methods(count, "damping = {0}"),
    "one trajectory": lambda count: values(count) + "schedule = 'iterative'\n",
    "lottery tickets": lambda count: values(count) + "schedule = 'lottery-ticket'\n",
    "rates rewound": lambda count: values(count) + "schedule = 'lr-rewinding'\n",
    "gradual": lambda count: values(count) + "schedule = { name = 'gradual', steps = 2 }\n",
    "own levels": lambda count: values(count) + "schedule = { name = 'iterative', steps = 3 }\n",
}


def calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called by ``work``."""
    counted = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_trials_are_four_times_the_work(shape: str):
    def everything(count: int) -> Plan:
        """All that happens to a study before the first step: checked, planned, and what is left of it counted."""
        study = parse_study(SHAPES[shape](count))
        plan = build_plan(study, {})
        missing(plan, plan.trials, lambda node: False)
        plan.users()
        plan.carrying()
        return plan

    assert len(everything(50).trials) >= 50
    few, many = calls(lambda: everything(50)), calls(lambda: everything(200))
    assert many < 4.4 * few


@pytest.mark.parametrize("preset", ["quickstart", "every-method", "gradual-vs-instant-small", "ninety-nine-small"])
def test_a_key_is_the_hash_of_the_step_and_of_its_parents_key(preset: str):
    plan = build_plan(load_study(preset, []), {"machine": "a"})
    inner = [node for node in plan.nodes.values() if node.parent]
    assert len(inner) > 50
    for node in inner:
        plain = {"parent": node.parent, "step": type(node.step).__name__, **node.step.plain(), "code": node.step.code}
        assert node.key == step_key(str(node.parent), node.step) == digest(plain)


def test_users_and_epochs_are_those_of_the_paths():
    plan = build_plan(parse_study("schedule = 'iterative'\nseeds = [0, 1]\n"))
    paths = [[node.key for node in plan.path(trial.after)] for trial in plan.trials]
    assert plan.users() == {key: sum(key in path for path in paths) for key in plan.nodes}
    last = plan.trials[-1]
    assert plan.epochs(last.dense) == 15
    assert plan.epochs(last.after) == 15 + 5 * 2  # two epochs after each of five levels


@pytest.mark.parametrize("schedule", ["iterative", "lottery-ticket", "lr-rewinding"])
def test_values_in_one_study_take_the_steps_that_they_would_take_alone(schedule: str):
    """Levels given outright: each value's path is then the same whoever is planned before it."""
    text = "schedule = { name = '%s', levels = [0.2, 0.4, 0.6] }\nsparsities = [%s]\n"
    together = build_plan(parse_study(text % (schedule, "0.3, 0.4, 0.9")))
    alone = build_plan(parse_study(text % (schedule, "0.4, 0.9")))
    shared = {trial.id: trial for trial in together.trials}
    assert all(shared[trial.id].after == trial.after for trial in alone.trials)
