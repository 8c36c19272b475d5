"""Five studies unrolled: the shape of their plans, what their keys cover, and the keys themselves.

When what a key covers is changed on purpose, only ``*.keys.txt`` (and ``*.fields.txt``, where a step's fields changed)
may differ afterwards; ``*.shape.txt`` names no key.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunetui.config import load_study
from prunetui.plan import Plan, build_plan, measurements, step_key

from .inner import SplitSizes, Units, hashed_fields, kind_of, label_of, needs_of, without_digests, work_of

STUDIES = Path(__file__).parent / "studies"
NAMES = (
    "masks-one-shot", "channels-budget-iterative", "rewinding", "shaped-trainings", "sensitivity-checkpoint",
)  # fmt: skip
CONTEXT = {
    "images": "0123456789abcdef", "checkpoint": None, "device": "cpu", "arithmetic": ["fp32", "fp32"],
    "torch": "2.9.0", "threads": 1,
}  # fmt: skip
UNITS = Units(
    layers=("conv1", "layer1.0.conv1", "fc"), groups=(("conv1", "layer1.0.conv2"), ("layer1.0.conv1",)), refused=("fc",)
)
IMAGES = SplitSizes(train=900, validation=100, test=500)

Golden = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    without_digests(monkeypatch)


class Told:
    """A plan as text, in which nodes have numbers in place of their keys."""

    def __init__(self, name: str, place: Path) -> None:
        shutil.copy(STUDIES / f"{name}.toml", place)
        (place / "dense.safetensors").touch()  # only its digest, which is in the context, decides keys
        self.study = load_study(f"{name}.toml", [])
        self.plan: Plan = build_plan(self.study, CONTEXT, UNITS)
        self.numbers = {key: f"#{i}" for i, key in enumerate(self.plan.nodes)}

    def shape(self) -> str:
        """Nodes with their parents, labels, work and needs; trials; what is measured; what is skipped."""
        users = self.plan.users()
        lines = ["# number <- parent: kind, label; seed; work; trials through it; states it needs besides"]
        for key, node in self.plan.nodes.items():
            parent = self.numbers[node.parent] if node.parent else "-"
            needed = ", ".join(self.numbers[other] for other in needs_of(node.step)) or "-"
            about = f"{kind_of(node.step)}, {label_of(node.step)}; seed {node.seed}"
            size = f"work {work_of(node.step, IMAGES)}; users {users[key]}; needs {needed}"
            lines.append(f"{self.numbers[key]} <- {parent}: {about}; {size}")
        lines += ["", "# trials: columns known before they run; the states they pass; what is measured where"]
        for trial in self.plan.trials:
            states = ("dense", "start", "edited", "before", "after", "control")
            ways = ", ".join(f"{state} {self.numbers[getattr(trial, state)]}" for state in states)
            wanted = measurements(self.study, trial)
            measured = ", ".join(f"{name} {self.numbers[step_key(*where)]}" for name, where in wanted.items())
            masked = "masked" if trial.masked else "physical"
            lines += [json.dumps(trial.identity()), f"    {masked}; {ways}", f"    {measured}"]
        lines += ["", "# rows of what cannot be pruned", *map(json.dumps, self.plan.skipped)]
        carrying = ", ".join(self.numbers[key] for key in self.plan.nodes if key in self.plan.carrying())
        return "\n".join([*lines, "", f"# states whose momentum goes on: {carrying or '-'}", ""])

    def fields(self) -> str:
        """What each step's key covers besides its parent, with numbers and words for keys and digests."""
        lines = []
        for key, node in self.plan.nodes.items():
            lines.append(f"{self.numbers[key]} {json.dumps(self._masked(hashed_fields(node.step)), sort_keys=True)}\n")
        return "".join(lines)

    def keys(self) -> str:
        """The key of every step."""
        return "".join(f"{number} {key}\n" for key, number in self.numbers.items())

    def _masked(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._masked(inner, key) for key, inner in value.items()}
        return "<digest>" if name == "digest" else self.numbers.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_has_the_same_shape_and_the_same_keys(name: str, golden: Golden, place: Path) -> None:
    told = Told(name, place)
    golden(f"plans/{name}.shape.txt", told.shape())
    golden(f"plans/{name}.fields.txt", told.fields())
    golden(f"plans/{name}.keys.txt", told.keys())


def test_every_kind_of_step_and_schedule_is_in_one_of_the_plans(place: Path) -> None:
    plans = [Told(name, place).plan for name in NAMES]
    kinds = {kind_of(node.step) for plan in plans for node in plan.nodes.values()}
    assert kinds == {"Load", "Train", "Prune", "Rewind", "Lift", "Calibrate", "Measure", "Latency"}
    schedules = {trial.schedule.partition(":")[0] for plan in plans for trial in plan.trials}
    wanted = {
        "one-shot", "iterative", "gradual", "lottery-ticket", "lr-rewinding", "at-init", "dynamic", "during-training",
        "dense-sparse-dense",
    }  # fmt: skip
    assert {word for word in wanted if any(word in one for one in schedules)} == wanted
