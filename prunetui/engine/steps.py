"""What each kind of step does to a state. No caching, no events: that is ``run``'s."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from prunetui.api import Channels, Net
from prunetui.api.budget import TOLERANCE
from prunetui.config import Model
from prunetui.engine import edits
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.measure import CALIBRATION_BATCH, recalibrate
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.start import started
from prunetui.engine.state import State, capture, instantiate
from prunetui.engine.train import Shape, epoch_seed
from prunetui.engine.verify_edit import achieved, check_achieved, reached_already
from prunetui.errors import TrialError
from prunetui.formats.shared_filters import sharing_layers
from prunetui.plan import Prune, Train
from prunetui.plugins import method_catalogue

EQUIVALENCE_IMAGES = 4
MOST_ATTEMPTS = 10


def fresh(architecture: Architecture, seed: int, model: Model) -> State:
    """The dense network of a seed, or that of the checkpoint, whose own zeros are masks.

    Raises:
        UsageError: the checkpoint does not fit.
    """
    if model.checkpoint:
        start = started(model, architecture.channels, architecture.size, architecture.classes)
        return State(architecture, start.tensors, start.masks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(architecture)
    return State(architecture, {name: t.clone() for name, t in net.state_dict().items()})


def prune(state: State, step: Prune, key: str, data: Dataset, graph: Graph, device: Device) -> State:
    """The state after a method's edit, checked: it did what was asked and nothing else.

    A net that came with zeros enough stays as it is.

    Raises:
        TrialError: the edit misses its target, the method changed the net itself, or removal is not exact.
    """
    if reached_already(step.target, step.value, step.only, state, graph):
        return state
    info = method_catalogue.method_info(step.method)
    method = method_catalogue.load(step.method)(**step.options)
    generator = torch.Generator().manual_seed(epoch_seed(key, 0))
    model = instantiate(state, device.torch)
    images = data.sample(step.images, generator)
    net = Net(
        model=model,
        masks={name: mask.to(device.torch, copy=True) for name, mask in state.masks.items()},
        batches=list(data.batches(images, CALIBRATION_BATCH)),
        generator=generator,
        constraints=graph.constraints(
            state, edit=info.edit, target=step.target, floor=step.rules["floor"], only=step.only
        ),
        progress=step.progress,
        memory=state.memory,
    )
    edit, after = _edited(method, net, asked_of(info.edit, step, state, graph), step, state, graph)
    left = model.state_dict()
    if any(not torch.equal(left[name], t.to(left[name].device)) for name, t in state.tensors.items()):
        raise TrialError(f"the method {step.method} changed the net; it may only return an edit")
    if isinstance(edit, Channels) and not edit.moved:
        probe = data.normalised(images.pixels[:EQUIVALENCE_IMAGES])
        edits.check_removal(edit.keep, state, after, graph, probe)
    check_achieved(step, edit, state, after, graph)
    return after


def _edited(method: Any, net: Net, asked: float, step: Prune, state: State, graph: Graph) -> tuple[Any, State]:
    """A method's edit and the state after it.

    Channels take zeros with them that were counted already. How many depends on which channels go, so a method is asked
    again, for more or fewer, until the net has the sparsity that the step wants.
    """
    randomness = net.generator.get_state()
    edit = method.prune(net, asked)
    after = edits.apply(edit, state, graph)
    if not (isinstance(edit, Channels) and state.masks and step.target == "sparsity"):
        return edit, after
    best, low, high = (edit, after), 0.0, asked  # zeros are only added: never more channels than without them
    for _ in range(MOST_ATTEMPTS):
        reached = achieved("sparsity", after, graph)
        if abs(reached - step.value) < abs(achieved("sparsity", best[1], graph) - step.value):
            best = edit, after
        if abs(achieved("sparsity", best[1], graph) - step.value) <= TOLERANCE / 2:
            break
        low, high = (asked, high) if reached < step.value else (low, asked)
        asked = (low + high) / 2
        net.generator.set_state(randomness)
        edit = method.prune(net, asked)
        after = edits.apply(edit, state, graph)
    return best


def asked_of(edit: str, step: Prune, state: State, graph: Graph) -> float:
    """The value for a method: masks are of the weights that are there, the study's sparsity of the dense ones."""
    dense, present = graph.cost("sparsity", graph.dense), graph.present("sparsity", state.tensors)
    if edit != "masks" or step.target != "sparsity" or present == dense or step.only:
        return step.value
    left = 1 - (1 - step.value) * dense / present
    if left < 0:
        raise TrialError(f"{1 - present / dense:.2%} of the weights are already gone; {step.value:g} is below that")
    return left


def rewind(state: State, early: State, graph: Graph) -> State:
    """What is left of the network with the weights and statistics of ``early``, an earlier state of the dense one.

    Raises:
        TrialError: the network shares filters, which it did not then.
    """
    if sharing_layers(state.tensors):
        raise TrialError("a network that shares filters cannot go back to weights that it did not share")
    keep = {name: torch.zeros(graph.dense[name], dtype=torch.bool) for name in state.kept}
    for name, index in state.kept.items():
        keep[name][index] = True
    then = edits.remove_channels(keep, replace(early, momentum={}, masks={}), graph)
    return edits.apply_masks(state.masks, then)


def shape_of(step: Train, state: State, graph: Graph) -> Shape | None:
    """The method that shapes a training, and what it may look at."""
    if not step.shaped:
        return None
    info = method_catalogue.method_info(step.shaped["method"])
    method: Any = method_catalogue.load(info.name)(**step.shaped["options"])
    hook = method.during_training
    if "value" in step.shaped:
        hook = partial(hook, sparsity=step.shaped["value"])
    return Shape(
        hook=hook,
        constraints=graph.constraints(
            state,
            edit=info.edit,
            target=step.shaped.get("target", "sparsity"),
            floor=step.shaped["rules"]["floor"],
        ),
    )


def calibrate(state: State, images: int, key: str, data: Dataset, device: Device) -> State:
    """The state with batch-norm statistics of ``images`` training images."""
    model = instantiate(state, device.torch)
    recalibrate(model, data, data.sample(images, torch.Generator().manual_seed(epoch_seed(key, 0))))
    return capture(model, state, state.momentum)
