"""Remove channels from a live network of any kind: its tensors are cut, and the integers that follow them set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prunetui.api.groups import Group
from prunetui.engine.layers import DoesNotFit, following_attributes
from prunetui.engine.tracing.cut_tensors import Keep, Kept, cut, kept_indices, named_tensors, put_tensor
from prunetui.engine.tracing.proposal import AttributeRule, Proposal


@dataclass(frozen=True)
class Removal:
    """What removal changes of a network: what is kept of its tensors, and new values of modules' attributes."""

    kept: Kept
    attributes: Mapping[tuple[str, str], Any]
    """(module, attribute) -> value."""


def shrink(model: nn.Module, proposal: Proposal, keep: Keep) -> None:
    """Remove what is not kept from a network, in place.

    Every tensor stays what it is: parameter or buffer, frozen or not, tied to others, its type and layout. Parameters
    are new objects, so an optimiser must be made anew.

    Raises:
        DoesNotFit: the channels cannot be removed; the network is as it was.
    """
    change = removal(model, proposal.groups, proposal.attributes, keep)
    tensors = named_tensors(model)
    fresh: dict[int, Tensor] = {}
    for name, cuts in change.kept.items():
        old = tensors[name]
        if id(old) not in fresh:
            fresh[id(old)] = _like(old, cut(old, cuts))
    for name, old in tensors.items():
        if id(old) in fresh:
            put_tensor(model, name, fresh[id(old)])
    for (module, attribute), value in change.attributes.items():
        setattr(model.get_submodule(module), attribute, value)


def _like(old: Tensor, values: Tensor) -> Tensor:
    if not isinstance(old, nn.Parameter):
        return values
    fresh = nn.Parameter(values, requires_grad=old.requires_grad)
    fresh.__dict__.update(old.__dict__)  # what optimisers are told by marks on parameters, as to decay no weights
    return fresh


def removal(model: nn.Module, groups: Sequence[Group], rules: Iterable[AttributeRule], keep: Keep) -> Removal:
    """What a choice of kept channels changes of a network.

    Raises:
        DoesNotFit: the channels cannot be removed from it.
    """
    kept = kept_indices(groups, keep, named_tensors(model))
    cuts: dict[str, dict[str, dict[int, Tensor]]] = defaultdict(dict)
    for name, of in kept.items():
        module, _, own = name.rpartition(".")
        cuts[module][own] = of
    attributes = {
        (module, attribute): value
        for module, of in cuts.items()
        for attribute, value in following_attributes(model.get_submodule(module), of).items()
    }
    return Removal(kept, {**attributes, **_by_rules(model, groups, rules, keep)})


def _by_rules(
    model: nn.Module, groups: Sequence[Group], rules: Iterable[AttributeRule], keep: Keep
) -> dict[tuple[str, str], int]:
    """Attributes less what goes with the channels that go; one may follow several groups, as behind a concatenation."""
    widths = {group.name: group.width for group in groups}
    values: dict[tuple[str, str], int] = {}
    for rule in rules:
        if rule.group not in keep:
            continue
        place = (rule.module, rule.attribute)
        value = values.get(place, getattr(model.get_submodule(rule.module), rule.attribute, None))
        if not isinstance(value, int) or isinstance(value, bool):
            raise DoesNotFit(f"{rule.module}.{rule.attribute} is {value!r}; an integer was to follow {rule.group}")
        values[place] = value - rule.each * (widths[rule.group] - int(keep[rule.group].sum()))
    return values
