"""What is said of layers of which next to nothing is left, on literal widths and in a study's run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from prunetui import events
from prunetui.engine.graph import Graph
from prunetui.engine.layer_collapse import collapsed
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.engine.step_context import StepContext
from prunetui.steps import Prune

VGG = Architecture("vgg11", 1, 8, 10, width=16)

DENSE = {"wide": 1280, "narrow": 16, "other": 64}


def test_a_layer_has_collapsed_that_keeps_less_than_a_tenth_of_what_the_network_keeps() -> None:
    left = {"wide": 2, "narrow": 1, "other": 30}
    assert collapsed(DENSE, left, 0.5, "floor=0.1") == (
        "next to nothing is left of some layers: 2 of 1280 channels of wide; floor=0.1 keeps a tenth of each layer"
    )
    assert "1 of 16 channels of narrow" in collapsed(DENSE, left, 0.3, "floor=0.1")  # 0.07 of 16 are 1.1
    assert collapsed(DENSE, {"wide": 70, "narrow": 1, "other": 30}, 0.5, "floor=0.1") == ""


def test_a_study_says_so_in_its_log(
    lively: Callable[..., State], graph_of: Callable[[Architecture], Graph], context: Callable[..., StepContext]
) -> None:
    state, graph = lively(VGG), graph_of(VGG)
    last = max(graph.groups, key=lambda group: group.width).name
    weak = replace(state, tensors={**state.tensors, f"{last}.weight": state.tensors[f"{last}.weight"] * 1e-6})
    told: list[events.Event] = []
    step = Prune("l1-structured", {"scope": "global", "normalise": "none"}, "", "params", 0.4, 1.0, images=8)
    step.apply(context(graph, emit=told.append), weak)
    (line,) = (event.message for event in told if isinstance(event, events.Log))
    assert line.startswith("l1-structured: next to nothing is left of some layers: 1 of ")
    assert last in line
    assert line.endswith("layers.floor = 0.1 keeps a tenth of each layer")
