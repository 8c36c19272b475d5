"""Who proposes the groups of a network: the first that comes to an end is put to the proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunetui.engine.count import used_layers
from prunetui.engine.layers import kind_of
from prunetui.engine.tracing.dependency_groups import dependency_groups
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.propose import LabelGraph

COUPLED = "its channels are coupled with some, and not all, of another layer's"


def label_graph(model: nn.Module, examples: Sequence[Example]) -> Proposal:
    """From torch.export's graph, with the attributes that may have to follow.

    Raises:
        UntraceableError: torch.export cannot follow the network.
    """
    arguments, named = examples[0]
    graph = LabelGraph(model, arguments, named)
    found = graph.proposal
    candidates = tuple(rule for group in found.groups for rule in graph.candidates(group.name))
    return replace(found, attributes=candidates)


def torch_pruning_graph(model: nn.Module, examples: Sequence[Example]) -> Proposal:
    """From Torch-Pruning's graph, of networks that read one tensor and compute all their layers.

    Raises:
        ValueError: there are more inputs; or layers that this example does not pass, which another might; or something
            comes out that has no gradient, by which Torch-Pruning follows a network.
    """
    (first, *others), named = examples[0]
    if others or named:
        raise ValueError("Torch-Pruning is asked for networks with one input only")
    if not _gives_floats(model, first):
        raise ValueError("Torch-Pruning follows gradients, and something that comes out of it has none")
    layers = used_layers(model, first[:1])
    passed_by = [name for name, layer in layers.items() if not layer.called and kind_of(model.get_submodule(name))]
    if passed_by:
        raise ValueError(f"{', '.join(passed_by[:5])} are not computed for every input, so nothing is known of them")
    groups, refused = dependency_groups(model, first[:1], layers)
    kept = {f"{name}.weight[0]": COUPLED for name in refused}
    return Proposal(groups, (), kept)


def _gives_floats(model: nn.Module, first: Tensor) -> bool:
    with unchanged(model), torch.no_grad():
        return all(tensor.is_floating_point() for tensor in output_tensors(model.eval()(first)))
