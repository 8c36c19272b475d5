"""One call of an operation in an exported graph, with labelled tensors as arguments, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from prunetui.api.groups import Role
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled, Shape

Result = Labelled | list[Labelled] | None
Rule = Callable[["Call"], Any]


@dataclass(frozen=True)
class Call:
    """What a rule sees of an operation."""

    operation: str
    """Its name without namespace, overload and the underscore of the in-place variant."""
    target: Any
    arguments: dict[str, Any]
    """By the names of the operation's schema, defaults filled in."""
    shapes: list[Shape]
    """Of the tensors it makes."""
    labels: Labels
    mark: Callable[[Tensor, Role], None]
    """Says what a tensor does with the channels that these labels of its name."""

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def tensor(self, name: str) -> Labelled:
        """An argument that must be a tensor."""
        value = self.arguments[name]
        if not isinstance(value, Labelled):
            raise NotImplementedError(f"argument {name} is no tensor")
        return value

    @property
    def shape(self) -> Shape:
        """Of the first tensor that it makes."""
        return self.shapes[0]

    def tensors(self) -> Iterator[Labelled]:
        """All tensors among the arguments, those in lists included."""
        for value in self.arguments.values():
            if isinstance(value, Labelled):
                yield value
            elif isinstance(value, (list, tuple)):
                yield from (item for item in value if isinstance(item, Labelled))


RULES: dict[str, Rule] = {}


def operation(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule into the table under the names of its operations."""

    def enter(rule: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"there are two rules for {name}")
            RULES[name] = rule
        return rule

    return enter
