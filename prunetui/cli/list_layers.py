"""What ``prunetui layers`` prints: the layers of a model, what they cost, and what of them may go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prunetui.config import parse_study
from prunetui.terminal.output import console, print_json, say, table

if TYPE_CHECKING:
    from prunetui.engine.graph import Graph

BUILT_IN_SIZE, OTHER_SIZE = 32, 224
PRODUCTS = "it multiplies what layers make"


def print_layers(
    name: str, channels: int, size: int | None, classes: int, overrides: Sequence[str], as_json: bool
) -> None:
    """All layers with parameters: those that are not called by themselves, then the others as an image passes them.

    Raises:
        UsageError: there is no such model, or it does not take such images.
    """
    import torch

    from prunetui.engine.models import build
    from prunetui.engine.models.image_input import plain_example
    from prunetui.engine.models.own_network import check_network, given_to_factory
    from prunetui.engine.models.start import architecture_of
    from prunetui.engine.trace_network import CUT_SHORT, WHOLE, told_of, trace

    named = f"model.name={json.dumps(name, ensure_ascii=False)}"
    model = parse_study("", [named, *overrides], "the command line").model
    architecture = architecture_of(model, channels, size or OTHER_SIZE, classes)
    if architecture.built_in and size is None:
        architecture = replace(architecture, size=BUILT_IN_SIZE)
    if told := given_to_factory(architecture):
        say(told, err=True)
    with torch.random.fork_rng(devices=[]):
        network = build(architecture)
    modules, example = dict(network.named_modules()), plain_example(network, channels, architecture.size or OTHER_SIZE)
    for line in check_network(architecture, None, example):
        say(line, err=True)
    graph = trace(architecture, example)
    kinds = {layer: type(modules[layer]).__name__ for layer in graph.layers}
    every = [*layer_objects(graph, kinds), *product_objects(graph, {n: type(m).__name__ for n, m in modules.items()})]
    for line in (CUT_SHORT if graph.cut_short else "", *told_of(graph)):
        if line:
            say(line, err=True)
    if whole := graph.kept.get(WHOLE):
        say(f"no channels can be removed: {whole}", err=True)
    if as_json:
        print_json(every)
    else:
        _print_table(every)


def layer_objects(graph: Graph, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each layer as JSON: ``channels_may_go``, and ``reason`` where they may not.

    ``group`` names the channels that it makes, or scales, and ``width`` says how many these are.
    """
    from prunetui.engine.kept_reasons import reason_of

    made = {layer: group for group in graph.groups for layer in (*group.norms, *group.producers)}
    objects = []
    for name, layer in graph.layers.items():
        group = made.get(name)
        objects.append(
            {
                "name": name,
                "kind": kinds[name],
                "shape": {own: list(shape) for own, shape in layer.shapes.items()},
                "params": layer.cost("params"),
                "macs": layer.cost("macs"),
                "weights_may_go": layer.prunable,
                "channels_may_go": group is not None,
                "group": group.name if group else None,
                "width": group.width if group else None,
                "reason": None if group else reason_of(graph, name),
            }
        )
    return objects


def product_objects(graph: Graph, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    """What modules multiply besides their layers, as queries with keys: like a layer without parameters."""
    macs: dict[str, int] = {}
    for product in graph.products:
        if not product.of_layer:
            macs[product.module] = macs.get(product.module, 0) + product.times({})
    if graph.fixed_macs:
        macs[""] = macs.get("", 0) + graph.fixed_macs
    about = {"shape": {}, "params": 0, "weights_may_go": False, "channels_may_go": False, "group": None, "width": None}
    return [
        {"name": name, "kind": f"products of {kinds[name]}", **about, "macs": count, "reason": PRODUCTS}
        for name, count in macs.items()
    ]


def _print_table(every: Sequence[Mapping[str, Any]]) -> None:
    shown = table("layer", "kind", "shape", "parameters", "MACs", "channels", right=("parameters", "MACs"))
    for one in every:
        shapes: Mapping[str, list[int]] = one["shape"]
        shape: list[int] = shapes.get("weight") or next(iter(shapes.values()), [])
        channels = f"{one['width']} of {one['group']}" if one["channels_may_go"] else f"stay: {one['reason']}"
        shown.add_row(
            one["name"] or "(the network)", one["kind"], "x".join(map(str, shape)),
            f"{one['params']:,}", f"{one['macs']:,}", channels,
        )  # fmt: skip
    total = [f"{sum(one[what] for one in every):,}" for what in ("params", "macs")]
    shown.add_row("all", "", "", *total, "")
    console().print(shown)
