"""Layers of a network whose channels stay, and why, as a report tells it."""

from __future__ import annotations

from prunetui.engine.graph import Graph
from prunetui.engine.kept_reasons import reason_of
from prunetui.engine.trace_network import WHOLE

PROJECTS = "_weight[0]"
"""How the place of a projection ends that attention itself holds, as ``in_proj_weight[0]``."""


def stays_of(graph: Graph) -> dict[str, str]:
    """Layers whose channels stay, each with the reason; of the whole network under an empty name."""
    if whole := graph.kept.get(WHOLE):
        return {"": whole}
    free = {layer for group in graph.groups for layer in group.producers}
    held = [name for name in graph.weighted if name not in free]
    return {**_attention(graph), **{name: reason_of(graph, name) for name in held}}


def _attention(graph: Graph) -> dict[str, str]:
    """Attention whose projections are no layers, by its name."""
    found = {}
    for place, why in graph.kept.items():
        layer = place.removesuffix(PROJECTS)
        if place.endswith(f"_proj{PROJECTS}") and layer not in graph.layers:
            found[layer.rpartition(".")[0]] = why
    return found
