"""Why the channels of a layer stay, in words."""

from __future__ import annotations

from prunetui.engine.graph import Graph

OUTPUTS = "its channels are the outputs"
COUPLED = "its channels are coupled with some that stay"


def reason_of(graph: Graph, layer: str) -> str:
    """Why the channels of a layer stay that is in no group: as its own tensors say, outputs first, or by its place."""
    prefix = f"{layer}." if layer else ""
    places = [place for place in graph.kept if place.startswith(prefix) and "." not in place[len(prefix) :]]
    outputs_first = sorted(places, key=lambda place: not place.endswith("[0]"))
    said = graph.kept.get(f"{prefix}weight[0]") or next((graph.kept[place] for place in outputs_first), None)
    return said or (OUTPUTS if graph.weighted and layer == graph.weighted[-1] else COUPLED)
