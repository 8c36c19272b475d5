"""Which channels can only go together, and what a net costs at given widths.

The graph is Torch-Pruning's. A group is used only when every layer in it has the group's own number of
channels: across a zero-padded shortcut it has not, and removal there would be wrong, so such channels stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

import torch
import torch_pruning
from torch import Tensor, nn

from prunetui.api import Group
from prunetui.api.budget import Costs, Widths
from prunetui.config import Layers
from prunetui.engine.count import LayerCost, layer_costs
from prunetui.engine.models import Architecture, build
from prunetui.errors import UsageError
from prunetui.plan import Units

OUTPUT_FUNCTIONS = ("prune_out_channels",)


@dataclass(frozen=True)
class Graph:
    """The coupled channels of an architecture; names and coupling stay when widths shrink.

    ``groups`` have the widths of the dense net. ``refused`` names the layers whose channels must stay,
    ``exempt`` those whose weights the study keeps; weights of the others are the prunable ones.
    """

    groups: tuple[Group, ...]
    refused: tuple[str, ...]
    layers: Mapping[str, LayerCost]
    exempt: frozenset[str] = frozenset()

    def restricted(self, rules: Layers) -> Graph:
        """The same graph without the layers and channels that a study's rules keep.

        Channels go with their group, so those of the first layer may go unless it is excluded by name.

        Raises:
            UsageError: a pattern fits no layer, or nothing is left to prune.
        """
        weighted = [name for name, layer in self.layers.items() if layer.kernel]
        for pattern in rules.exclude:
            if not any(fnmatchcase(name, pattern) for name in weighted):
                raise UsageError(f'layers.exclude: no layer fits "{pattern}"; there are: {", ".join(weighted)}')
        excluded = {name for name in weighted if any(fnmatchcase(name, pattern) for pattern in rules.exclude)}
        ends = {weighted[0]} if rules.first == "keep" else set()
        ends |= {weighted[-1]} if rules.last == "keep" else set()
        if excluded | ends == set(weighted):
            raise UsageError("the rules of [layers] keep every layer: nothing is left to prune")
        groups = tuple(group for group in self.groups if not excluded & set(group.producers))
        return replace(self, groups=groups, exempt=frozenset(excluded | ends))

    @cached_property
    def _slots(self) -> dict[str, list[tuple[str, str]]]:
        """For each layer, which group makes its outputs and which its inputs."""
        slots: dict[str, list[tuple[str, str]]] = {name: [] for name in self.layers}
        for group in self.groups:
            for layer in (*group.producers, *group.norms):
                slots[layer].append(("outputs", group.name))
            for layer in group.consumers:
                slots[layer].append(("inputs", group.name))
        return slots

    def widths(self, tensors: Mapping[str, Tensor]) -> Widths:
        """The width of each group in a state dict."""
        return {group.name: outputs(tensors, group.producers[0]) for group in self.groups}

    def cost(self, kind: str, widths: Widths) -> int:
        """Prunable weights (``sparsity``), ``params`` or ``macs`` of the net at these widths."""
        total = 0
        for name, layer in self.layers.items():
            if kind == "sparsity" and name in self.exempt:
                continue
            sizes = {side: widths[group] for side, group in self._slots[name]}
            total += layer.at(**sizes).cost(kind)
        return total

    def present(self, kind: str, tensors: Mapping[str, Tensor]) -> int:
        """What ``cost`` counts, of the tensors that are there."""
        total = 0
        for name, layer in self.layers.items():
            weights = tensors[f"{name}.weight"].numel()
            if kind == "params":
                total += weights + (tensors[f"{name}.bias"].numel() if f"{name}.bias" in tensors else 0)
            elif layer.kernel and not (kind == "sparsity" and name in self.exempt):
                total += weights * (layer.places if kind == "macs" else 1)
        return total

    def units(self) -> Units:
        """What a sensitivity study prunes one at a time; channels that must stay are not among them."""
        weighted = [name for name, layer in self.layers.items() if layer.kernel]
        free = {layer for group in self.groups for layer in group.producers}
        held = [name for name in weighted[:-1] if name not in free]  # the last makes the classes
        prunable = [name for name in weighted if name not in self.exempt]
        return Units(prunable, [group.producers for group in self.groups], held)

    @cached_property
    def dense(self) -> Widths:
        """The widths before any pruning."""
        return {group.name: group.width for group in self.groups}

    def costs(self, tensors: Mapping[str, Tensor]) -> Costs:
        """What the budget solver needs to know of a net with this state dict."""
        return Costs(dense=self.dense, current=self.widths(tensors), cost=self.cost)

    def current(self, tensors: Mapping[str, Tensor]) -> tuple[Group, ...]:
        """The groups at the widths of a state dict."""
        widths = self.widths(tensors)
        return tuple(Group(g.name, widths[g.name], g.producers, g.norms, g.consumers) for g in self.groups)


def outputs(tensors: Mapping[str, Tensor], layer: str) -> int:
    """The channels that a layer shows to others: as many as its labels where it shares filters."""
    labels = tensors.get(f"{layer}.labels")
    return len(labels) if labels is not None else tensors[f"{layer}.weight"].shape[0]


def trace(architecture: Architecture) -> Graph:
    """The graph of an architecture, from one pass of a single image through a fresh dense net."""
    with torch.random.fork_rng(devices=[]):
        model = build(architecture)
    example = torch.zeros(1, architecture.channels, architecture.size, architecture.size)
    layers = layer_costs(model, example)
    with torch.enable_grad():  # Torch-Pruning follows autograd's graph
        dependency = torch_pruning.DependencyGraph().build_dependency(model, example)
    names = {module: name for name, module in model.named_modules()}
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found = dependency.get_all_groups(ignored_layers=[classifier], root_module_types=[nn.Conv2d, nn.Linear])
    groups: list[Group] = []
    refused: list[str] = []
    for raw in found:
        group, sound = _read(raw, names, layers)
        if sound:
            groups.append(group)
        else:
            refused += group.producers
    return Graph(tuple(groups), tuple(refused), layers)


def _read(raw: object, names: Mapping[nn.Module, str], layers: Mapping[str, LayerCost]) -> tuple[Group, bool]:
    """A Torch-Pruning group as ours, and whether its channels may be removed."""
    members: dict[str, list[str]] = {"producers": [], "norms": [], "consumers": []}
    width = 0
    sound = True
    for dependency, indices in raw:  # type: ignore[attr-defined]
        module = dependency.target.module
        if module not in names:  # an operation without parameters
            continue
        name = names[module]
        outputs = dependency.handler.__name__ in OUTPUT_FUNCTIONS
        role = "consumers" if not outputs else "norms" if isinstance(module, nn.BatchNorm2d) else "producers"
        if name in members[role]:
            continue
        members[role].append(name)
        width = width or layers[name].outputs
        channels = layers[name].outputs if outputs else layers[name].inputs
        sound &= channels == width and sorted(indices) == list(range(width))
    group = Group(members["producers"][0], width, *(tuple(members[role]) for role in members))
    return group, sound
