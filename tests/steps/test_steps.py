"""A kind of step is one class: the plan keys it, the engine does it, and both know nothing of it but what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prunetui import events
from prunetui.config import Recipe, parse_study
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.run import Engine
from prunetui.engine.state import State
from prunetui.engine.step_context import StepContext
from prunetui.errors import TrialError
from prunetui.plan import build_plan, missing
from prunetui.steps import Calibrate, Latency, Load, Measure, Prune, Rewind, Train
from prunetui.store import Cache
from prunetui.store.partial_files import PartialFiles
from prunetui.tasks.classification import Classification
from prunetui.tree import Node, Plan, SplitSizes, Step, Trial, is_kept, step_key
from prunetui.tree.step import Measurement

SMALL = Architecture("resnet20", 1, 8, 10, width=4)
STUDY = """
methods = ["l1-structured"]
sparsities = [0.5]
train = { epochs = 1, batch_size = 90 }
finetune = { epochs = 0 }
data = { limit = 200, validation = 0.1 }
measure = { latency = false, recalibrate = 0, control = false }
"""
GraphOf = Callable[[Architecture], Graph]


@dataclass(frozen=True)
class Shrink(Step):
    """Multiply all weights; a kind of step that neither plan nor engine has heard of."""

    factor: float

    @property
    def label(self) -> str:
        return f"shrink by {self.factor:g}"

    def work(self, images: SplitSizes) -> int:
        return images.test

    def apply(self, context: StepContext, state: State) -> State:
        if self.factor < 0:
            raise TrialError("weights do not change their sign")
        return replace(state, tensors={name: t * self.factor for name, t in state.tensors.items()})


@dataclass(frozen=True)
class LargestWeight(Measurement):
    """A figure of a state."""

    label = "largest weight"

    def apply(self, context: StepContext, state: State) -> dict[str, Any]:
        return {"largest": max(float(t.abs().max()) for t in state.tensors.values() if t.is_floating_point())}


@dataclass
class Bench:
    engine: Engine
    plan: Plan
    trial: Trial
    told: list[events.Event]


def bench(folder: Path, digits: Dataset, graph: Graph, cpu: Device, factor: float) -> Bench:
    """A planned study whose trial ends with two steps of the kinds above."""
    study = parse_study(STUDY)
    plan = build_plan(study, {})
    (planned,) = (trial for trial in plan.trials if trial.method != "dense")
    after = plan.add(planned.after, Shrink(factor), 0)
    trial = replace(planned, after=after)
    measure = plan.measurements[trial.id]
    plan.measurements[trial.id] = {
        name: (after if name in ("after", "validation") else key, step) for name, (key, step) in measure.items()
    }
    plan.measurements[trial.id]["largest"] = (after, LargestWeight())
    for key, step in plan.measurements[trial.id].values():
        plan.add(key, step, 0)
    told: list[events.Event] = []
    kept, partials = Cache(folder / "kept"), PartialFiles(folder / "partial")
    rules = graph.restricted(study.layers)
    engine = Engine(
        study, plan, digits, Classification(), SMALL, rules, cpu, kept, partials, told.append, lambda: False
    )
    return Bench(engine, plan, trial, told)


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training takes no time: the walk is what is tested here."""
    monkeypatch.setattr(Train, "apply", lambda step, context, state: state)


@pytest.mark.usefixtures("dense")
def test_steps_of_new_kinds_are_planned_computed_told_kept_and_found(
    tmp_path: Path, digits: Dataset, graph_of: GraphOf, cpu: Device
) -> None:
    first = bench(tmp_path, digits, graph_of(SMALL), cpu, factor=0.5)
    nothing_kept = missing(first.plan, [first.trial], lambda node: False)
    assert first.trial.after in nothing_kept
    assert step_key(first.trial.after, LargestWeight()) in nothing_kept

    row = first.engine.run_trial(first.trial)
    assert row["status"] == "done"
    before, after = (first.engine.state(key).tensors for key in (first.trial.before, first.trial.after))
    assert torch.equal(after["conv1.weight"], before["conv1.weight"] * 0.5)
    begun = [event for event in first.told if isinstance(event, events.StepStarted)]
    assert [(e.step, e.label, e.work) for e in begun if e.key == first.trial.after] == [
        ("Shrink", "shrink by 0.5", len(digits.test))
    ]
    (figures,) = (e.result for e in first.told if isinstance(e, events.StepFinished) and e.step == "LargestWeight")
    assert figures == {"largest": max(float(t.abs().max()) for t in after.values() if t.is_floating_point())}

    again = bench(tmp_path, digits, graph_of(SMALL), cpu, factor=0.5)
    assert again.engine.run_trial(again.trial)["top1"] == row["top1"]
    finished = [event for event in again.told if isinstance(event, events.StepFinished)]
    assert all(event.cached for event in finished)
    assert {"Shrink", "LargestWeight"} <= {event.step for event in finished}


@pytest.mark.usefixtures("dense")
def test_a_step_of_a_new_kind_that_fails_fails_all_that_needs_it(
    tmp_path: Path, digits: Dataset, graph_of: GraphOf, cpu: Device
) -> None:
    made = bench(tmp_path, digits, graph_of(SMALL), cpu, factor=-1.0)
    with pytest.raises(TrialError, match="do not change their sign"):
        made.engine.run_trial(made.trial)
    with pytest.raises(TrialError, match="shrink by -1 failed: weights do not change their sign"):
        made.engine.run_trial(made.trial)


# What a kind says of itself ---------------------------------------------------------------------------

RECIPE = Recipe(epochs=5)
PRUNE = Prune("l1-structured", {}, "", "channels", 0.5, 1.0, images=5000)


@pytest.mark.parametrize(
    ("step", "label"),
    [
        (Load(), "load"),
        (Train(RECIPE), "train 5 epochs"),
        (Train(RECIPE, first=3, last=4, shaped={"method": "rigl"}), "train 1 epoch shaped by rigl"),
        (PRUNE, "prune l1-structured channels:0.5"),
        (replace(PRUNE, only="conv1"), "prune l1-structured channels:0.5 of conv1"),
        (Rewind("k", 3), "rewind to epoch 3"),
        (Calibrate(64), "re-estimate batch norm"),
        (Measure("test", 10), "measure on test"),
        (Latency((1, 128)), "time latency"),
    ],
)
def test_a_step_says_in_words_what_it_is(step: Step, label: str) -> None:
    assert step.label == label


def test_steps_say_which_other_states_they_look_at() -> None:
    assert Rewind("early", 3).needs() == ("early",)
    assert Train(RECIPE, teacher="dense").needs() == ("dense",)
    assert Train(RECIPE).needs() == PRUNE.needs() == Measure("test", 10).needs() == ()


def test_only_measurements_make_no_state_and_only_latency_is_timed() -> None:
    steps = [Load(), Train(RECIPE), PRUNE, Rewind("k", 0), Calibrate(1), Measure("test", 1), Latency((1,))]
    assert [step.kind for step in steps if not step.makes_state] == ["Measure", "Latency"]
    assert [step.kind for step in steps if step.timed] == ["Latency"]
    assert [step.kind for step in steps if step.trains] == ["Train"]


def test_what_is_kept_must_have_the_momentum_and_the_clock_that_are_needed() -> None:
    state, timed = Node("a", None, Load(), 0), Node("b", "a", Latency((1,)), 0)
    here = {"processor": "this"}
    assert not is_kept(state, None, set(), here)
    assert is_kept(state, {"momentum": False}, {"other"}, here)
    assert not is_kept(state, {"momentum": False}, {"a"}, here)
    assert is_kept(state, {"momentum": True}, {"a"}, here)
    assert is_kept(timed, {"timer": {"processor": "this"}}, set(), here)
    assert not is_kept(timed, {"timer": {"processor": "another"}}, set(), here)
    assert is_kept(timed, {"timer": {"processor": "another"}}, set(), timer=None)


def test_randomness_is_called_by_kind_seed_and_place() -> None:
    """The second training of a recipe, begun in its middle, sees what the first one saw there."""
    plan, other = Plan(), Recipe(epochs=2)
    way = [Load(), Train(RECIPE), Calibrate(8), Train(other), Calibrate(8), Train(RECIPE, first=2)]
    key, names = "root", []
    for step in way:
        key = plan.add(key, step, 7)
        names.append(plan.random_stream(key))
    assert names == ["Load:7:1", "Train:7:1", "Calibrate:7:1", "Train:7:2", "Calibrate:7:2", "Train:7:1"]


def test_steps_are_listed_and_labelled_without_torch_and_without_the_schema() -> None:
    code = (
        "import sys; from prunetui.steps import Latency, Load; assert Load().label == 'load'\n"
        "assert not {'torch', 'pydantic', 'numpy', 'prunetui.engine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
