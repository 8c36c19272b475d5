"""What of a network may go, what it costs, and how much must stay: said once, to every method at every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from prunetui.api.budget import Costs
from prunetui.api.groups import Group

NO_COSTS = Costs({}, {}, lambda kind, widths: 0)


@dataclass(frozen=True)
class Constraints:
    """The rules of a study for one network."""

    layers: Sequence[str] = ()
    """The layers whose weights may be zeroed, in the order of the net; a study keeps others as they are."""
    groups: Sequence[Group] = ()
    """The coupled channels that may be removed."""
    costs: Costs = NO_COSTS
    target: str = "sparsity"
    """What a sparsity is a fraction of: sparsity, channels, params, macs or threshold."""
    floor: float = 0.0
    """Fraction of its weights, or channels, that every layer must keep."""
    sharing: frozenset[str] = frozenset()
    """Layers whose outputs share filters already."""
    uncalled: frozenset[str] = frozenset()
    """Layers that are not called in evaluation, as those of auxiliary heads: nothing is known of what they read."""
    turned: frozenset[str] = frozenset()
    """Layers whose weights are [in, out, ...]: transposed convolutions, and ``Conv1D`` of transformers."""


class Constrained:
    """A network with the rules for it: ``Net`` and ``Training``."""

    model: nn.Module
    constraints: Constraints
    masks: Mapping[str, Tensor]
    """Masks in force, by layer name; a layer without one is dense."""

    @property
    def costs(self) -> Costs:
        """What the net costs at given widths."""
        return self.constraints.costs

    @property
    def target(self) -> str:
        """What a sparsity is a fraction of: sparsity, channels, params, macs or threshold."""
        return self.constraints.target

    @property
    def floor(self) -> float:
        """Fraction of its weights, or channels, that every layer must keep."""
        return self.constraints.floor

    def groups(self) -> Sequence[Group]:
        """The groups of coupled channels that may be removed; the classes are never among them."""
        return self.constraints.groups

    def layers(self) -> dict[str, nn.Module]:
        """The convolutions and linear layers that may be pruned, by name, in the order of the net."""
        return {name: self.model.get_submodule(name) for name in self.constraints.layers}

    def parameters(self) -> dict[str, Tensor]:
        """Their weights as the model holds them, with gradients: [out, in, k, k], or [out, in] of linear layers.

        Those of ``constraints.turned`` are [in, out, ...].
        """
        return {name: layer.weight for name, layer in self.layers().items()}  # type: ignore[misc]

    def weights(self) -> dict[str, Tensor]:
        """Prunable weights by layer name: of convolutions [out, in, k, k] and linear layers [out, in].

        Masks have these shapes. Some kinds of layers keep [in, out, ...]; ``by_output`` has them the other way round.
        """
        return {name: weight.detach() for name, weight in self.parameters().items()}

    def by_output(self, values: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """``weights``, or ``values`` shaped like them, with the outputs of every layer on the first dimension."""
        turned = self.constraints.turned
        given = self.weights() if values is None else values
        return {name: value.transpose(0, 1) if name in turned else value for name, value in given.items()}

    def as_weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Values shaped as ``by_output`` says, as the layers keep their weights."""
        return {name: value.contiguous() for name, value in self.by_output(values).items()}  # turned twice is as before
