"""From a network and an example of its inputs to a proposal of what may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import nn

from prunetui.engine.tracing.candidate_attributes import ReshapedChannels, candidate_rules
from prunetui.engine.tracing.export_graph import export_both
from prunetui.engine.tracing.interpret import Interpreter
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.products import products_of
from prunetui.engine.tracing.proposal import AttributeRule, Proposal
from prunetui.engine.tracing.tensor_labels import TensorLabels
from prunetui.engine.tracing.units import units_of


class LabelGraph:
    """The labelled graph of a network: what it proposes, and which attributes may have to follow.

    Nothing of it is proved. The network is left exactly as it was.

    Raises:
        UntraceableError: torch.export cannot follow the network.
    """

    def __init__(self, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> None:
        self._model = model
        self._tensors = TensorLabels.of(model, Labels())
        self._interpreter = Interpreter(self._tensors)
        programs, why = export_both(model, args, kwargs)
        self._unseen = f"what only training uses is not seen: {why}" if why else ""
        self._interpreter.run(programs)

    @cached_property
    def proposal(self) -> Proposal:
        """Groups, and what stays with the reason."""
        units = units_of(self._tensors)
        products = products_of(self._interpreter.multiplied, self._model, units.groups, self._tensors)
        return Proposal(units.groups, (), units.kept, products, self._unseen)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Operations without a rule, whose channels stay."""
        return tuple(self._interpreter.unknown)

    def candidates(self, group: str) -> tuple[AttributeRule, ...]:
        """Rules for attributes that may have to follow this group, likely ones first; each has to be proved."""
        found = next(own for own in self.proposal.groups if own.name == group)
        piece = found.slices[0]
        labels = self._tensors.dimensions[self._tensors.first[piece.tensor]][piece.dimension]
        roots = self._tensors.labels.roots(labels[[own[0] for own in piece.indices]])
        return candidate_rules(self._model, found, roots.tolist(), self._reshaped)

    @cached_property
    def _reshaped(self) -> tuple[ReshapedChannels, ...]:
        return self._interpreter.reshaped()
