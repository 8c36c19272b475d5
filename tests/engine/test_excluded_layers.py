"""Layers that one method of a study leaves alone: what it removes of the others is still a share of the whole net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prunetui.config import parse_study
from prunetui.config.write import study_toml
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.engine.step_context import StepContext
from prunetui.engine.verify_edit import achieved
from prunetui.errors import TrialError, UsageError
from prunetui.plan import build_plan
from prunetui.steps import Prune
from prunetui.tree import Units

SMALL = Architecture("resnet20", 1, 8, 10, width=4)
Pruned = Callable[..., tuple[State, Graph]]


@pytest.fixture
def pruned(
    graph_of: Callable[[Architecture], Graph], lively: Callable[..., State], context: Callable[..., StepContext]
) -> Pruned:
    """The small network after an edit by a method that leaves the widest stage alone."""

    def make(method: str, value: float, **more: Any) -> tuple[State, Graph]:
        graph, rules = graph_of(SMALL), {"floor": 0.0, "exclude": ("layer3.*",)}
        step = Prune(method, {}, "", more.pop("target", "sparsity"), value, 1.0, 8, rules)
        return step.apply(context(graph, architecture=SMALL), more.pop("state", None) or lively(SMALL)), graph

    return make


@pytest.mark.parametrize("method", ["global-unstructured", "l1-unstructured"])
def test_masks_lie_on_other_layers_and_are_a_share_of_all_weights(pruned: Pruned, method: str) -> None:
    state, graph = pruned(method, 0.15)
    assert achieved("sparsity", state, graph) == pytest.approx(0.15, abs=1e-3)
    assert not [name for name in state.masks if name.startswith("layer3.")]
    more, _ = pruned(method, 0.2, state=state)
    assert achieved("sparsity", more, graph) == pytest.approx(0.2, abs=1e-3)


def test_channels_of_other_layers_make_up_the_share(pruned: Pruned, lively: Callable[..., State]) -> None:
    state, graph = pruned("l1-structured", 0.3, target="macs")
    assert achieved("macs", state, graph) == pytest.approx(0.3, abs=0.01)
    dense = lively(SMALL).tensors
    kept = [name for name in dense if name.startswith("layer3.") and name.endswith(("conv1.weight", "conv2.weight"))]
    assert {state.tensors[name].shape[0] for name in kept} == {16}
    assert state.tensors["layer1.0.conv1.weight"].shape[0] < 4
    _, graph = pruned("l1-structured", 0.5, target="channels")  # every other group by a half: that is checked


def test_more_than_the_other_layers_have_is_told(pruned: Pruned) -> None:
    with pytest.raises(TrialError, match=r"cannot remove 90.00% of the weights: the layers it may prune have 2\d\."):
        pruned("global-unstructured", 0.9)


@pytest.mark.parametrize(
    ("exclude", "words"),
    [
        ('["layer9.*"]', r'methods\[1\].exclude: no layer fits "layer9\.\*"'),
        ('["layer*"]', r"methods\[1\].exclude leaves l1-structured no layer to prune"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_runs(
    graph_of: Callable[[Architecture], Graph], exclude: str, words: str
) -> None:
    study = parse_study(f'methods = ["obd", {{ name = "l1-structured", exclude = {exclude} }}]')
    with pytest.raises(UsageError, match=words):
        graph_of(SMALL).restricted(study.layers).check_methods(study.methods)


def test_trials_that_differ_by_it_alone_have_labels_and_steps_of_their_own() -> None:
    text = """
    sparsities = [0.5]
    methods = ["l1-structured", { name = "l1-structured", exclude = ["layer3.*"] }]
    """
    study = parse_study(text)
    plan = build_plan(study)
    trials = [trial for trial in plan.trials if trial.method != "dense"]
    assert {trial.label for trial in trials} == {"l1-structured", "l1-structured without layer3.*"}
    assert len({trial.edited for trial in trials}) == 2
    again = parse_study(study_toml(study))
    assert [method.exclude for method in again.methods] == [None, ("layer3.*",)]


def test_a_sensitivity_study_passes_over_them() -> None:
    study = parse_study('kind = "sensitivity"\nsparsities = [0.5]\n'
                        'methods = [{ name = "l1-unstructured", exclude = ["b*"] }]')  # fmt: skip
    plan = build_plan(study, units=Units(["a1", "b1", "b2"], [], []))
    assert [trial.layer for trial in plan.trials if trial.layer] == ["a1"]
