"""A method is asked for its edit of a state; what it gives is applied, and held to what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from prunetui.api import Channels, Net
from prunetui.api.budget import TOLERANCE
from prunetui.api.source import called
from prunetui.engine import edits
from prunetui.engine.graph import Graph
from prunetui.engine.own_share import own_share
from prunetui.engine.ranked_groups import without_group
from prunetui.engine.state import State, instantiate
from prunetui.engine.untouched import Untouched
from prunetui.engine.verify_edit import Asked, Edit, achieved, check_achieved
from prunetui.errors import PrunetuiError, TrialError, UnrankedError
from prunetui.files.image_tree import listed
from prunetui.plugins.own_files import short

MOST_ATTEMPTS = 10


@dataclass(frozen=True)
class MethodEdit:
    """What a method made of a state."""

    edit: Edit
    after: State
    unranked: tuple[UnrankedError, ...] = ()
    """Of each group of channels that the method cannot rank, and that is left as it is."""

    def told_unranked(self) -> list[str]:
        """A line for every reason why groups are left as they are."""
        layers: dict[str, list[str]] = {}
        for one in self.unranked:
            layers.setdefault(one.why, []).append(one.layers)
        return [
            f"{why} the channels of {listed(names)}: they cannot be ranked, and stay" for why, names in layers.items()
        ]


def edited(asked: Asked, kind: str, method: Any, net: Net, state: State, graph: Graph) -> MethodEdit:
    """The edit of a method of this ``kind`` (masks, channels or modules), and the state after it.

    Groups that it cannot rank are left alone, if it can rank others.

    Raises:
        TrialError: the edit misses its target, does not fit, or the method changed the net itself.
    """
    untouched = Untouched(net.model, state.tensors)
    made = _of_ranked(asked, method, net, asked_of(kind, asked, state, graph), state, graph)
    if changed := untouched.changes(net.model):
        by_itself = _changes_by_itself(net, state)
        if found := [what for what in changed if what not in by_itself]:
            raise TrialError(
                f"the method {short(asked.method)} changed the net ({found[0]}); it may only return an edit"
            )
    check_achieved(asked, made.edit, state, made.after, graph, [one.group for one in made.unranked])
    return made


def asked_of(kind: str, asked: Asked, state: State, graph: Graph) -> float:
    """The value for a method: masks are of what it may prune now, a study's sparsity of all dense weights."""
    if kind != "masks" or asked.target != "sparsity" or asked.only:
        return asked.value
    return own_share(asked.value, asked.rules.get("exclude", ()), state, graph)


def _of_ranked(asked: Asked, method: Any, net: Net, value: float, state: State, graph: Graph) -> MethodEdit:
    """A method's edit, of the groups that it can rank."""
    randomness, unranked = net.generator.get_state(), list[UnrankedError]()
    while True:
        try:
            return replace(_made(asked, method, net, value, state, graph), unranked=tuple(unranked))
        except UnrankedError as error:
            net = replace(net, constraints=without_group(net.constraints, error))
            net.generator.set_state(randomness)
            unranked.append(error)


def _made(asked: Asked, method: Any, net: Net, value: float, state: State, graph: Graph) -> MethodEdit:
    """A method's edit and the state after it.

    Channels take zeros with them that were counted already. How many depends on which channels go, so a method is
    asked again, for more or fewer, until the net has the sparsity that is wanted.
    """

    def attempt() -> MethodEdit:
        edit = method.prune(net, value)
        return MethodEdit(edit, edits.apply(edit, state, graph))

    randomness = net.generator.get_state()
    best = made = attempt()
    if not (isinstance(made.edit, Channels) and state.masks and asked.target == "sparsity"):
        return made
    low, high = 0.0, value  # zeros are only added: never more channels than without them
    for _ in range(MOST_ATTEMPTS):
        reached = achieved("sparsity", made.after, graph)
        if abs(reached - asked.value) < abs(achieved("sparsity", best.after, graph) - asked.value):
            best = made
        if abs(achieved("sparsity", best.after, graph) - asked.value) <= TOLERANCE / 2:
            break
        low, high = (value, high) if reached < asked.value else (low, value)
        value = (low + high) / 2
        net.generator.set_state(randomness)
        made = attempt()
    return best


def _changes_by_itself(net: Net, state: State) -> list[str]:
    """What a network changes of itself when it is computed, such as a count of its calls, or a table that it makes."""
    device = next(net.model.parameters()).device
    model = instantiate(state, device)
    untouched = Untouched(model, state.tensors)
    try:
        inputs = net.task.inputs(net.batches[0])
    except PrunetuiError:  # there is no data, and no method has computed it
        return []
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            called(model, inputs)
    return untouched.changes(model)
