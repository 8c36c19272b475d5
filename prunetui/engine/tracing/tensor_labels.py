"""The labels of a network's parameters and buffers: one for each index of each dimension."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from prunetui.api.groups import Role
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled, line

UNUSED = "the network does not use it"


@dataclass
class TensorLabels:
    """Names as in the module tree; a tensor with several names is labelled once, under the first."""

    labels: Labels
    aliases: dict[str, list[str]] = field(default_factory=dict)
    """First name of a tensor -> all of its names."""
    first: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, list[Tensor]] = field(default_factory=dict)
    """First name -> labels of each dimension."""
    roles: dict[tuple[str, int], Role] = field(default_factory=dict)
    reading: set[tuple[str, int]] = field(default_factory=set)
    """Dimensions of first names that read channels, whatever else they do: a tied weight may make and read the same."""
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: nn.Module, labels: Labels) -> TensorLabels:
        """Fresh labels for all parameters and buffers."""
        made = cls(labels)
        known: dict[int, str] = {}
        for name, tensor in (
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ):
            first = known.setdefault(id(tensor), name)
            made.first[name] = first
            made.aliases.setdefault(first, []).append(name)
            if first == name:
                made.dimensions[name] = [labels.new(size) for size in tensor.shape]
        return made

    def __post_init__(self) -> None:
        self._starts: list[int] = []
        self._owners: list[tuple[str, int]] = []

    def tensor(self, name: str, used: bool) -> Labelled:
        """The tensor as an input of a graph, which does something with it or not."""
        first = self.first[name]
        if used:
            self.used.add(first)
        dimensions = self.dimensions[first]
        shape = tuple(len(labels) for labels in dimensions)
        return Labelled(shape, tuple(line(labels, shape, d) for d, labels in enumerate(dimensions) if shape[d] > 1))

    def mark(self, labels: Tensor, role: Role) -> None:
        """A role of the dimensions to which these labels belong: that of a layer goes before one of arithmetic."""
        if not self._starts:
            for name, dimensions in self.dimensions.items():
                for d, own in enumerate(dimensions):
                    if len(own):
                        self._starts.append(int(own[0]))
                        self._owners.append((name, d))
        for label in torch.unique(labels.flatten()[:1]).tolist():  # all labels of a labelling of a weight are alike
            if label <= 0:
                continue
            owner = self._owners[bisect_right(self._starts, label) - 1]
            name, d = owner
            if label > int(self.dimensions[name][d][-1]):
                continue  # labels of padding belong to no tensor
            if role == "reads":
                self.reading.add(owner)
            if self.roles.get(owner, "scales") == "scales":
                self.roles[owner] = role
