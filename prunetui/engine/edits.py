"""The only place where a net changes shape or gains zeros. States in, states out.

Weights, masks and momentum are sliced by the same indices, so an optimiser goes on as if the removed
channels had never been there. Torch-Pruning's own removal would leave the optimiser behind; that both
remove the same is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from prunetui.api import Channels, Masks, Modules
from prunetui.api.source import tensors_in
from prunetui.engine.compared_outputs import compared_outputs
from prunetui.engine.graph import Graph
from prunetui.engine.layers import DoesNotFit
from prunetui.engine.share_filters import share_filters
from prunetui.engine.state import State, instantiate
from prunetui.engine.tied_tensors import ties_of
from prunetui.engine.tracing.output_tensors import difference
from prunetui.engine.tracing.shrink import removal
from prunetui.errors import TrialError
from prunetui.formats.shared_filters import sharing_layers

EQUIVALENCE = 1e-3
"""Largest difference of logits, relative to the largest logit, that removal may cause in float32."""


def apply(edit: Masks | Channels | Modules, state: State, graph: Graph) -> State:
    """The state after an edit.

    Raises:
        TrialError: the edit names something that is not there, brings back what was pruned, or empties a layer.
    """
    if isinstance(edit, Masks):
        return apply_masks(edit.keep, move(edit.moved, state))
    if isinstance(edit, Modules):
        return move(edit.moved, share_filters(edit.shared, state))
    after = move(edit.moved, remove_channels(edit.keep, state, graph))
    for name, mask in after.masks.items():
        if bool(after.tensors[f"{name}.weight"][~mask].any()):
            hint = " (or the checkpoint came without: model.keep_zeros = false lets those go)"
            raise TrialError(f"the new value of {name}.weight brings back weights that an earlier step pruned{hint}")
    return after


def move(moved: Mapping[str, Tensor], state: State) -> State:
    """Give tensors new values, under all of their names."""
    tensors, ties = dict(state.tensors), ties_of(state.tensors)
    for name, value in moved.items():
        old = tensors.get(name)
        if old is None or old.shape != value.shape:
            raise TrialError(f"the new value of {name} does not fit: {'it is not there' if old is None else old.shape}")
        if not bool(torch.isfinite(value).all()):
            raise TrialError(f"the new value of {name} is not finite")
        fresh = value.detach().to(old.device, old.dtype, copy=True)  # a method may give one tensor to many names
        for other in ties.get(name, (name,)):
            if other in moved and not torch.equal(moved[other], value):
                raise TrialError(f"{name} and {other} are one tensor, and have two new values")
            tensors[other] = fresh
    return replace(state, tensors=tensors)


def apply_masks(keep: Mapping[str, Tensor], state: State) -> State:
    """Set what is not kept to zero, in the weights and in the momentum."""
    masks = dict(state.masks)
    for name, mask in keep.items():
        weight = state.tensors.get(f"{name}.weight")
        if weight is None or weight.shape != mask.shape or mask.dtype != torch.bool:
            raise TrialError(f"the mask of {name} does not fit: a bool tensor of its weight's shape is needed")
        mask = mask.to(weight.device)
        if name in masks and bool((mask & ~masks[name].to(weight.device)).any()):
            raise TrialError(f"the mask of {name} brings back weights that an earlier step pruned")
        masks[name] = mask
    ties = ties_of(state.tensors)
    by_parameter: dict[str, Tensor] = {}
    for name, mask in masks.items():
        for alias in ties.get(f"{name}.weight", (f"{name}.weight",)):
            by_parameter[alias] = by_parameter.get(alias, mask) & mask

    def masked(name: str, tensor: Tensor) -> Tensor:
        mask = by_parameter.get(name)
        fits = mask is not None and tensor.shape == mask.shape
        return tensor * mask.to(tensor.device) if fits and mask is not None else tensor

    return replace(
        state,
        tensors=_changed(state.tensors, masked),
        momentum={name: masked(name.partition("/")[2], t) for name, t in state.momentum.items()},
        masks=masks,
    )


def _changed(tensors: Mapping[str, Tensor], change: Callable[[str, Tensor], Tensor]) -> dict[str, Tensor]:
    """Every tensor after a change, made once of one with several names."""
    made: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        if id(tensor) not in made:
            made[id(tensor)] = change(name, tensor)
    return {name: made[id(tensor)] for name, tensor in tensors.items()}


def remove_channels(keep: Mapping[str, Tensor], state: State, graph: Graph) -> State:
    """Remove coupled channels from every tensor that has them, momentum and masks included."""
    cuts = _cuts(keep, state, graph)

    def cut(name: str, tensor: Tensor) -> Tensor:
        for dimension, index in cuts.get(name, {}).items():
            if tensor.dim() > dimension:  # not the scalars that some optimisers keep
                tensor = tensor.index_select(dimension, index.to(tensor.device))
        return tensor

    return replace(
        state,
        kept={**state.kept, **_left(keep, state)},
        attributes={**state.attributes, **_attributes(keep, state, graph)},
        memory={},
        tensors=_changed(state.tensors, cut),
        momentum={name: cut(name.partition("/")[2], t) for name, t in state.momentum.items()},
        masks={name: cut(f"{name}.weight", t) for name, t in state.masks.items()},
    )


def _attributes(keep: Mapping[str, Tensor], state: State, graph: Graph) -> dict[str, Tensor]:
    """The numbers that modules note of the widths that are left, of networks whose layers may be of any kind.

    Raises:
        TrialError: what would be left is no such network.
    """
    if graph.attributes is None:
        return {}
    model = instantiate(state, torch.device("cpu"))
    choice = {name: mask.cpu() for name, mask in keep.items()}
    try:
        values = removal(model, graph.current(state), graph.attributes, choice).attributes
    except DoesNotFit as error:
        raise TrialError(f"these channels cannot be removed: {error}") from error
    return {f"{module}.{name}" if module else name: torch.tensor(value) for (module, name), value in values.items()}


def _left(keep: Mapping[str, Tensor], state: State) -> dict[str, Tensor]:
    """Which of the dense net's channels are left of each group."""
    before = {name: state.kept.get(name, torch.arange(len(mask))) for name, mask in keep.items()}
    return {name: before[name][mask.cpu()] for name, mask in keep.items()}


def _cuts(keep: Mapping[str, Tensor], state: State, graph: Graph) -> dict[str, dict[int, Tensor]]:
    """Tensor -> dimension -> the indices that are kept of it."""
    groups, sharing = {group.name: group for group in graph.current(state)}, sharing_layers(state.tensors)
    stay: dict[str, dict[int, Tensor]] = {}
    for name, mask in keep.items():
        group = groups.get(name)
        if group is None:
            raise TrialError(f"no channels are called {name}, or they cannot be removed")
        if mask.shape != (group.width,) or mask.dtype != torch.bool:
            raise TrialError(f"{name} has {group.width} channels; got {tuple(mask.shape)} of {mask.dtype}")
        if not bool(mask.any()):
            raise TrialError(f"{name} would lose all its {group.width} channels")
        if sharing & set(group.producers):
            raise TrialError(f"the outputs of {name} share filters; channels cannot be removed from it any more")
        for piece in group.slices:
            size = state.tensors[piece.tensor].shape[piece.dimension]
            kept = stay.setdefault(piece.tensor, {}).setdefault(piece.dimension, torch.ones(size, dtype=torch.bool))
            kept[piece.index[~mask.cpu()]] = False
    return {
        tensor: {dimension: kept.nonzero().flatten() for dimension, kept in of.items()} for tensor, of in stay.items()
    }


def zero_channels(keep: Mapping[str, Tensor], state: State, graph: Graph) -> State:
    """The same channels silenced instead of removed: what removal must be equivalent to.

    What makes and scales them is zeroed, statistics included; what reads them is left to read zeros. Where the graph
    says so, what reads them is zeroed instead.
    """
    tensors = dict(state.tensors)
    for group in graph.current(state):
        for piece in group.slices if group.name in keep else ():
            way = graph.ways.get(group.name, "makes")
            if (piece.role == "reads") == (way == "reads"):
                tensor = tensors[piece.tensor]
                mask = keep[group.name].to(tensor.device)
                tensors[piece.tensor] = tensor * piece.spread(mask, tensor, elsewhere=1)
    return replace(state, tensors=tensors)


def check_removal(keep: Mapping[str, Tensor], before: State, after: State, graph: Graph, inputs: Any) -> None:
    """Assert that removal computes what silencing the same channels computes.

    Raises:
        TrialError: the outputs of ``inputs`` differ by more than ``EQUIVALENCE``.
    """
    with torch.inference_mode():
        device = tensors_in(inputs)[0].device
        removed, silenced = (
            compared_outputs(instantiate(state, device), inputs, graph.parts)
            for state in (after, zero_channels(keep, before, graph))
        )
        found = difference(removed, silenced)
    if not found.relative <= EQUIVALENCE:
        far = found.words or f"relative difference {found.relative:.2g}"
        raise TrialError(f"removing these channels changes what the net computes ({far})")
