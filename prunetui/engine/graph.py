"""Which channels can only go together, and what a net costs at given widths.

``trace_network`` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from prunetui.api import Group
from prunetui.api.budget import Costs, Widths
from prunetui.api.constraints import Constraints
from prunetui.api.groups import full_name, left_of
from prunetui.config import LayersTable, MethodTable
from prunetui.engine.excluded_layers import layers_matching, makers_beside
from prunetui.engine.layers import Layer
from prunetui.engine.product_costs import ProductCosts
from prunetui.engine.state import State
from prunetui.engine.tracing.proposal import AttributeRule, Product
from prunetui.engine.tracing.silence import Way
from prunetui.errors import UsageError
from prunetui.formats.shared_filters import sharing_layers
from prunetui.tree import Units


@dataclass(frozen=True)
class Graph:
    """The coupled channels of an architecture; names and coupling stay when widths shrink.

    ``groups`` have the widths of the dense net. ``refused`` names the layers whose channels must stay,
    ``exempt`` those whose weights the study keeps; weights of the others are the prunable ones.
    """

    groups: tuple[Group, ...]
    refused: tuple[str, ...]
    layers: Mapping[str, Layer]
    exempt: frozenset[str] = frozenset()
    attributes: tuple[AttributeRule, ...] | None = None
    """Numbers of modules that follow the groups, of a proved network; the layers of built-in ones know their own."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Dimensions of tensors, as ``name[0]``, whose channels stay, each with the reason, where it is known."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Groups whose channels are silent when their readers are zeroed, and not when what makes them is."""
    aliases: frozenset[str] = frozenset()
    """Names of tensors that count under another name; methods do not see these."""
    fallback: str = ""
    """Why the graph is not that of torch.export of the whole network, where it was to be traced by that."""
    products: tuple[Product, ...] = ()
    """What is multiplied besides the weights of layers, such as queries with keys; and layers whose weights are used
    more or less often when channels go."""
    fixed_macs: int = 0
    """Multiply-accumulates that are computed and of which the graph does not tell what they follow."""
    other_makers: Mapping[str, str] = field(default_factory=dict)
    """What made channels of groups that a study keeps, and has no prunable weights; see ``makers_beside``."""
    cut_short: bool = False
    """Whether this machine had too little time or memory to find and prove all channels."""
    untried: tuple[str, ...] = ()
    """What the proofs leave out, and why."""
    parts: tuple[str, ...] = ()
    """The parts that were traced, where the whole cannot be; all else, and what comes out of them, stays."""

    def restricted(self, rules: LayersTable) -> Graph:
        """The same graph without the layers and channels that a study's rules keep.

        Channels go with their group, so those of the first layer may go unless it is excluded by name.

        Raises:
            UsageError: a pattern fits no layer, or nothing is left to prune.
        """
        weighted, excluded = self.weighted, self.excluded(rules.exclude, "layers.exclude")
        ends = {weighted[0]} if rules.first == "keep" else set()
        ends |= {weighted[-1]} if rules.last == "keep" else set()
        if excluded | ends >= {*weighted, *self._makers.values()}:
            raise UsageError("the rules of [layers] keep every layer: nothing is left to prune")
        groups = tuple(group for group in self.groups if not excluded & set(group.producers))
        return replace(self, groups=groups, exempt=frozenset(excluded | ends), other_makers=self._makers)

    def excluded(self, patterns: Sequence[str], where: str = "exclude") -> set[str]:
        """The layers that patterns leave alone; ``where`` is what a study calls them.

        Those are layers with prunable weights, and others that make channels, as embeddings.

        Raises:
            UsageError: a pattern fits no layer.
        """
        return layers_matching(patterns, {name: name for name in self.weighted} | self._makers, where)

    @cached_property
    def _makers(self) -> dict[str, str]:
        return {**self.other_makers, **makers_beside(self.weighted, self.groups)}

    def check_methods(self, methods: Sequence[MethodTable]) -> None:
        """Refuse methods that leave everything alone.

        Raises:
            UsageError: one does, or a pattern of it fits no layer.
        """
        for i, method in enumerate(methods):
            apart = self.excluded(method.exclude or (), f"methods[{i}].exclude")
            if {*self.prunable} <= apart:
                raise UsageError(f"methods[{i}].exclude leaves {method.title} no layer to prune")

    @cached_property
    def weighted(self) -> list[str]:
        """The layers with prunable weights, those that the study keeps included."""
        return [name for name, layer in self.layers.items() if layer.prunable]

    @property
    def prunable(self) -> list[str]:
        """Those whose weights may be pruned."""
        return [name for name in self.weighted if name not in self.exempt]

    @cached_property
    def dense(self) -> Widths:
        """The widths before any pruning."""
        return {group.name: group.width for group in self.groups}

    def current(self, state: State) -> tuple[Group, ...]:
        """The groups as they are in a state."""
        widths = self.widths(state.tensors)
        first = {name: torch.arange(width) for name, width in widths.items()}  # where it does not say which are left
        return left_of(self.groups, [state.kept.get(group.name, first[group.name]) for group in self.groups])

    def widths(self, tensors: Mapping[str, Tensor]) -> Widths:
        """The width of each group in a state dict."""
        return {group.name: self._width(group, tensors) for group in self.groups}

    def _width(self, group: Group, tensors: Mapping[str, Tensor]) -> int:
        """By a dimension on which only this group lies; of a reader, for the layers that make it may share filters."""
        for piece in sorted(group.slices, key=lambda piece: piece.role != "reads"):
            cuts = self._cuts[piece.tensor][piece.dimension]
            dense = self.layers[piece.layer].shapes.get(piece.own) if piece.layer in self.layers else None
            if dense and all(name == group.name for name, _ in cuts):
                gone = dense[piece.dimension] - tensors[piece.tensor].shape[piece.dimension]
                return group.width - gone // sum(each for _, each in cuts)
        raise ValueError(f"no tensor tells how many channels of {group.name} are left")

    @cached_property
    def _cuts(self) -> dict[str, dict[int, list[tuple[str, int]]]]:
        """Tensor -> dimension -> the groups on it, and how many indices each of their channels has there."""
        cuts: dict[str, dict[int, list[tuple[str, int]]]] = {}
        for group in self.groups:
            for piece in group.slices:
                on = cuts.setdefault(piece.tensor, {}).setdefault(piece.dimension, [])
                on.append((group.name, len(piece.indices[0])))
        return cuts

    def cost(self, kind: str, widths: Widths) -> int:
        """Prunable weights (``sparsity``), ``params`` or ``macs`` of the net at these widths."""
        names = self.prunable if kind == "sparsity" else self.layers
        of_layers = sum(self._cost(name, kind, widths) for name in names)
        return of_layers + (self.fixed_macs + self._of_products.macs(widths) if kind == "macs" else 0)

    @cached_property
    def _of_products(self) -> ProductCosts:
        return ProductCosts(self.products, self.dense)

    @property
    def uncertain(self) -> str:
        """One line on multiply-accumulates that are counted as those of the dense network; empty where none are."""
        if not self.fixed_macs or not self.groups:
            return ""
        return (
            f"{abs(self.fixed_macs):,} of {self.cost('macs', self.dense):,} MACs are counted as in the dense network: "
            "the graph does not tell which channels they go with"
        )

    def _cost(self, name: str, kind: str, widths: Widths) -> int:
        """The cost of one layer, looked up where a net with these widths there has been counted before."""
        key = (name, kind, *(widths[group] for group in self._groups_in[name]))
        if key not in self._costs:
            lost = {group.name: group.width - widths[group.name] for group in self.groups}
            shapes = {}
            for own, dense in self.layers[name].shapes.items():
                cuts = self._cuts.get(full_name(name, own), {})
                gone = [sum(lost[group] * each for group, each in cuts.get(d, ())) for d in range(len(dense))]
                shapes[own] = tuple(size - less for size, less in zip(dense, gone, strict=True))
            self._costs[key] = self.layers[name].cost(kind, shapes, self._of_products.places(name, widths))
        return self._costs[key]

    @cached_property
    def _groups_in(self) -> dict[str, list[str]]:
        """Layer -> the groups that have channels in it."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.layers}
        for group in self.groups:
            for piece in group.slices:
                found.setdefault(piece.layer, {})[group.name] = None
        for name, groups in self._of_products.deciding().items():
            found.setdefault(name, {}).update(dict.fromkeys(groups))
        return {name: list(groups) for name, groups in found.items()}

    @cached_property
    def _costs(self) -> dict[tuple[Any, ...], int]:
        return {}

    def present(self, kind: str, tensors: Mapping[str, Tensor]) -> int:
        """What ``cost`` counts, of the tensors that are there."""
        widths = self.widths(tensors) if kind == "macs" and self.products else {}
        total = self.fixed_macs + self._of_products.macs(widths) if kind == "macs" else 0
        for name in self.prunable if kind == "sparsity" else self.layers:
            shapes = {own: tuple(tensors[full_name(name, own)].shape) for own in self.layers[name].shapes}
            total += self.layers[name].cost(kind, shapes, self._of_products.places(name, widths))
        return total

    def constraints(
        self, state: State, *, edit: str, target: str = "sparsity", floor: float = 0.0, only: str | None = None,
        exclude: Sequence[str] = (),
    ) -> Constraints:  # fmt: skip
        """What a method with this kind of edit may remove of a state: all that the study lets go, or ``only`` that.

        ``exclude`` are patterns of layers that the method leaves alone.
        """
        apart = self.excluded(exclude)
        layers = [name for name in self.prunable if name not in apart] if only is None else [only]
        uncalled: list[str] = []
        if edit == "channels":  # of which it only sees those that may go; it may look at the weights of any layer
            uncalled = [name for name, layer in self.layers.items() if layer.kind.prunable and not layer.called]
            layers = [*self.weighted, *uncalled]
        return Constraints(
            layers=layers,
            groups=[
                self._counted(g) for g in self.current(state) if only in (None, g.name) and not apart & {*g.producers}
            ],
            costs=Costs(dense=self.dense, current=self.widths(state.tensors), cost=self.cost),
            target=target,
            floor=floor,
            sharing=sharing_layers(state.tensors),
            uncalled=frozenset(uncalled),
            turned=frozenset(name for name in layers if self.layers[name].kind.outputs["weight"] == 1),
        )

    def _counted(self, group: Group) -> Group:
        """The group with each tensor under the one name that it counts under."""
        pieces = tuple(piece for piece in group.slices if piece.tensor not in self.aliases)
        return replace(group, slices=pieces) if len(pieces) < len(group.slices) else group

    def units(self) -> Units:
        """What a sensitivity study prunes one at a time; channels that must stay are not among them."""
        free = {layer for group in self.groups for layer in group.producers}
        held = [name for name in self.weighted[:-1] if name not in free]  # the last makes the classes
        return Units(self.prunable, [group.producers for group in self.groups], held)
