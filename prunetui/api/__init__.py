"""All that a pruning method sees and returns.

A method is a frozen dataclass with a ``prune`` that looks at a ``Net`` and returns an edit: ``Masks`` (weights set
to zero), ``Channels`` (channels physically removed) or ``Modules`` (layers that share filters). It never changes the
net.
``keep`` is always name -> bool tensor in which True survives; ``sparsity`` always the fraction removed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, TypeVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from prunetui.api.budget import Costs, check_floor, kept_width, solve_widths, width_unit
from prunetui.api.clusters import Clusters, cluster_filters, filter_weights
from prunetui.api.kernel_selection import keep_top_kernels, kernels_of, weights_left
from prunetui.api.layer_budgets import by_budget, erk_budgets, exchanged
from prunetui.api.net import Group, Keep, Net
from prunetui.api.obs_solver import compensated, removal_costs
from prunetui.api.training import Training
from prunetui.errors import PrunetuiError, TrialError

__all__ = [
    "Annotated",
    "Channels",
    "Count",
    "Factor",
    "Clusters",
    "Group",
    "Keep",
    "Literal",
    "Masks",
    "Modules",
    "Net",
    "Positive",
    "PruningMethod",
    "Scope",
    "Share",
    "Shared",
    "Training",
    "TrialError",
    "compensated",
    "channel_widths",
    "cluster_filters",
    "dataclass",
    "erk_budgets",
    "exchanged",
    "feature_maps",
    "filter_weights",
    "filters_kept",
    "keep_above",
    "keep_channels",
    "keep_erk",
    "keep_top",
    "keep_top_kernels",
    "kernels_of",
    "per_channel",
    "register",
    "registered",
    "removal_costs",
    "weights_left",
    "zero_scores",
]

Scope = Literal["global", "local"]
"""Rank across the whole net, or within each layer."""
Count = Annotated[int, Ge(0)]
"""An option that is a whole number from 0."""
Positive = Annotated[int, Ge(1)]
"""An option that is a whole number from 1."""
Factor = Annotated[float, Ge(0)]
"""An option that is a number from 0."""
Share = Annotated[float, Gt(0), Le(1)]
"""An option that is a part of a whole, in (0, 1]."""

M = TypeVar("M", bound=type)


@dataclass(frozen=True)
class Masks:
    """An edit: weights of layers set to zero and held there; shapes stay."""

    keep: Keep
    """Layer name -> bool tensor of its weight's shape."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values, for methods that make up for what they remove; the masks hold on them."""


@dataclass(frozen=True)
class Channels:
    """An edit: channels physically removed, from every layer coupled to them."""

    keep: Keep
    """Group name -> bool tensor of the group's width."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values, shaped as after the removal; without any, removal is checked to be exact."""


@dataclass(frozen=True)
class Shared:
    """A convolution whose outputs share filters: output i is that of filter ``labels[i]``."""

    weight: Tensor
    """The filters that are kept, [k, in, kh, kw]."""
    labels: Tensor
    """Which filter each of the C outputs uses: int64 [C], every one in [0, k)."""


@dataclass(frozen=True)
class Modules:
    """An edit: layers replaced by layers that share filters; what other layers see keeps its shape."""

    shared: Mapping[str, Shared]
    """Layer name -> its filters."""
    moved: Mapping[str, Tensor] = field(default_factory=dict)
    """State-dict name -> new values of other tensors, such as batch-norm statistics."""


class PruningMethod(Protocol):
    """What a registered class must offer.

    It may also have ``during_training(self, training: Training)``, or ``(self, training, sparsity)``, called after
    every backward pass of the trainings before an edit: at first for as many epochs as its option ``epochs`` says.
    """

    def prune(self, net: Net, sparsity: float) -> Any:
        """The edit that brings ``net`` to ``sparsity`` (absolute, not relative to what is already gone)."""


class Channeled(Protocol):
    """A network whose channels may go: ``Net`` and ``Training``."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def costs(self) -> Costs: ...
    @property
    def target(self) -> str: ...
    @property
    def floor(self) -> float: ...
    def groups(self) -> Sequence[Group]: ...


def per_channel(net: Channeled, values: Mapping[str, Tensor], consumers: bool = False) -> dict[str, Tensor]:
    """Values of single weights, by layer, summed over each channel of each group.

    A channel owns the rows of its producers and, with ``consumers``, the columns of its consumers too.
    """
    scores = {}
    for group in net.groups():
        parts = [values[layer].flatten(1).sum(1) for layer in group.producers]
        if consumers:
            parts += [values[layer].transpose(0, 1).flatten(1).sum(1) for layer in group.consumers]
        scores[group.name] = torch.stack(parts).sum(0)
    return scores


def zero_scores(net: Channeled) -> dict[str, Tensor]:
    """A float32 zero for each channel of each group, to add to."""
    device = next(net.model.parameters()).device
    return {group.name: torch.zeros(group.width, device=device) for group in net.groups()}


def feature_maps(net: Net) -> Iterator[dict[str, Tensor]]:
    """The maps [B, width, H, W] that each group's first consumer reads, one batch after the other."""
    for seen in net.inputs():
        yield {group.name: _as_maps(seen[group.consumers[0]]) for group in net.groups()}


def _as_maps(features: Tensor) -> Tensor:
    return features if features.dim() == 4 else features[:, :, None, None]


def keep_top(
    scores: Mapping[str, Tensor], sparsity: float, scope: Scope, within: Keep | None = None, floor: float = 0.0
) -> dict[str, Tensor]:
    """Keep the highest scores and remove exactly ``round(sparsity * n)`` of n.

    n counts all scores (``global``) or those of each layer (``local``). What ``within`` has already
    removed stays removed and counts. Equal scores fall as ``torch.topk`` breaks the tie. Every layer keeps at
    least the fraction ``floor`` of its weights: its highest scores, whatever those of other layers are.

    Raises:
        TrialError: ``within`` has removed more than ``sparsity`` (of every layer, if ``local``), or the floors leave
            too little to remove.
    """
    names = list(scores)
    flat = []
    for name in names:
        score = scores[name].detach().float()
        held = (within or {}).get(name)
        score = (score if held is None else score.masked_fill(~held.to(score.device), -torch.inf)).flatten()
        flat.append(_protected(score, floor) if floor else score)
    if scope == "global":
        kept = torch.split(_keep_flat(torch.cat(flat), sparsity), [len(f) for f in flat])
    else:
        gone = [int((f == -torch.inf).sum()) / max(1, len(f)) for f in flat]
        # A layer that has lost more keeps what it has; it is a mistake only where no layer is left to prune.
        some = any(round(g * len(f)) <= round(sparsity * len(f)) for g, f in zip(gone, flat, strict=True))
        kept = tuple(_keep_flat(f, max(sparsity, g) if some else sparsity) for g, f in zip(gone, flat, strict=True))
    return {name: keep.view(scores[name].shape) for name, keep in zip(names, kept, strict=True)}


def _keep_flat(scores: Tensor, sparsity: float) -> Tensor:
    removed = round(sparsity * len(scores))
    gone = int((scores == -torch.inf).sum())
    if gone > removed:
        raise TrialError(
            f"{gone} of {len(scores)} weights are already pruned; a sparsity of {sparsity:g} is below that"
        )
    most = int((scores != torch.inf).sum())
    if removed > most:
        raise TrialError(f"cannot remove {sparsity:.2%}: the floor of every layer leaves {most / len(scores):.2%}")
    keep = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    keep[torch.topk(scores, removed, largest=False).indices] = False
    return keep


def _protected(scores: Tensor, floor: float) -> Tensor:
    """The scores of a layer with the highest ``floor`` of them out of reach; what is gone stays gone."""
    best = torch.topk(scores, math.ceil(floor * len(scores) - 1e-9)).indices
    scores = scores.clone()
    scores[best] = torch.where(scores[best] == -torch.inf, -torch.inf, torch.inf)
    return scores


def keep_erk(net: Net, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Keep the highest scores of each layer, as many as its Erdos-Renyi-kernel budget says; exact over the net.

    Raises:
        TrialError: more is already gone, or the floors leave too little to remove.
    """
    budgets = erk_budgets({name: tuple(score.shape) for name, score in scores.items()}, sparsity)
    ranked = by_budget(scores, budgets, net.masks)
    return keep_top(ranked, sparsity, "global", within=net.masks, floor=net.floor)


def keep_above(
    scores: Mapping[str, Tensor], threshold: float, within: Keep | None = None, floor: float = 0.0
) -> dict[str, Tensor]:
    """Keep what is in ``within`` and scores above ``threshold``, and of every layer at least ``floor`` of it."""
    kept = {name: score.detach() > threshold for name, score in scores.items()}
    if floor:
        highest = keep_top(scores, 1 - floor, "local", within)
        kept = {name: keep | highest[name] for name, keep in kept.items()}
    return {name: keep & within[name] if within and name in within else keep for name, keep in kept.items()}


def keep_channels(
    net: Channeled, scores: Mapping[str, Tensor], sparsity: float, scope: Scope = "local", round_to: int = 0
) -> dict[str, Tensor]:
    """Keep the highest-scored channels of each group, as many as the net's target allows.

    ``scores`` holds one score a channel for every group of ``net.groups()``. ``round_to`` makes every
    width a multiple of it; 0 is 8 where the narrowest group has at least 64 channels, else 1.

    Raises:
        TrialError: the target cannot be reached within 1 % of the net.
    """
    widths = solve_widths(
        net.costs, {name: score.detach().float().cpu() for name, score in scores.items()}, net.target, sparsity,
        scope, round_to, net.floor,
    )  # fmt: skip
    keep = {}
    for name, score in scores.items():
        keep[name] = torch.zeros(len(score), dtype=torch.bool, device=score.device)
        keep[name][torch.topk(score, widths[name]).indices] = True
    return keep


def channel_widths(net: Net, groups: Sequence[Group], sparsity: float, round_to: int = 0) -> dict[str, int]:
    """How many channels each of ``groups`` keeps: the same share of all, as ``keep_channels`` would.

    Raises:
        TrialError: the target cannot be reached, or more is already gone.
    """
    equal = {group.name: torch.ones(group.width) for group in groups}
    return solve_widths(net.costs, equal, net.target, sparsity, "local", round_to, net.floor)


def filters_kept(net: Net, layer: str, sparsity: float, round_to: int = 0) -> int:
    """How many filters a convolution keeps at the target ``channels``.

    Raises:
        TrialError: its outputs share filters already, or the floor keeps more than the ratio asks for.
    """
    check_floor(sparsity, net.floor)
    if "labels" in dict(net.layers()[layer].named_buffers()):
        raise TrialError(f"the outputs of {layer} share filters already")
    return kept_width(len(net.parameters()[layer]), sparsity, width_unit(net.costs.dense, round_to), net.floor)


_REGISTRY: dict[str, type] = {}


def register(
    name: str, *, source: str, family: str = "", targets: Sequence[str] = (), schedules: Sequence[str] = ()
) -> Callable[[M], M]:
    """Make a class a pruning method. All arguments must be literals: lists read them without importing.

    ``source`` is where the method comes from; ``family`` and ``targets`` default by the kind of edit, ``schedules``
    to all but ``dynamic``.

    Raises:
        PrunetuiError: the name is taken by another class.
    """

    def decorate(cls: M) -> M:
        taken = _REGISTRY.get(name)
        if taken is not None and taken.__qualname__ != cls.__qualname__:
            raise PrunetuiError(f"two methods are called {name!r}: {taken.__module__} and {cls.__module__}")
        _REGISTRY[name] = cls
        return cls

    return decorate


def registered(name: str) -> type[PruningMethod]:
    """The class registered as ``name``; its module has been imported."""
    return _REGISTRY[name]
