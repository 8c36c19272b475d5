"""Which weights and channels are kept, by their scores and within a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from prunetui.api.budget import check_floor, kept_width, solve_widths, width_unit
from prunetui.api.constraints import Constrained
from prunetui.api.groups import Group
from prunetui.api.isomorphic import structure_of
from prunetui.api.layer_budgets import by_budget, erk_budgets
from prunetui.api.net import Keep, Net
from prunetui.api.options import ChannelScope, Normalise, Scope
from prunetui.errors import TrialError


def keep_top(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope,
    within: Constrained | Keep | None = None,
    floor: float = 0.0,
) -> dict[str, Tensor]:
    """Keep the highest scores and remove exactly ``round(sparsity * n)`` of n.

    n counts all scores (``global``) or those of each layer (``local``). What ``within``, a network or masks, has
    already removed stays removed and counts. Equal scores fall as ``torch.topk`` breaks the tie. Every layer keeps at
    least the fraction ``floor`` of its weights, or that of the net: its highest scores, whatever other layers have.

    Raises:
        TrialError: ``within`` has removed more than ``sparsity`` (of every layer, if ``local``), or the floors leave
            too little to remove.
    """
    held_by, floor = _masks_and_floor(within, floor)
    names = list(scores)
    flat = []
    for name in names:
        score = scores[name].detach().float()
        held = held_by.get(name)
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


def _masks_and_floor(within: Constrained | Keep | None, floor: float) -> tuple[Keep, float]:
    return (within.masks, within.floor) if isinstance(within, Constrained) else (within or {}, floor)


def _keep_flat(scores: Tensor, sparsity: float) -> Tensor:
    removed = round(sparsity * len(scores))
    gone = int((scores == -torch.inf).sum())
    if gone > removed:
        raise TrialError(
            f"{gone} of {len(scores)} weights are already pruned; a sparsity of {sparsity:g} is below that"
        )
    most = int((scores != torch.inf).sum())
    if removed > most:
        raise TrialError(
            f"cannot remove {sparsity:.2%} of the weights: {most / len(scores):.2%} may go before every layer is at "
            "its floor"
        )
    keep = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    keep[torch.topk(scores, removed, largest=False).indices] = False
    return keep


def _protected(scores: Tensor, floor: float) -> Tensor:
    """The scores of a layer with the highest ``floor`` of them out of reach; what is gone stays gone."""
    best = torch.topk(scores, math.ceil(floor * len(scores) - 1e-9)).indices
    scores = scores.clone()
    scores[best] = torch.where(scores[best] == -torch.inf, -torch.inf, torch.inf)
    return scores


def keep_erk(net: Constrained, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Keep the highest scores of each layer, as many as its Erdos-Renyi-kernel budget says; exact over the net.

    Raises:
        TrialError: more is already gone, or the floors leave too little to remove.
    """
    budgets = erk_budgets({name: tuple(score.shape) for name, score in scores.items()}, sparsity)
    ranked = by_budget(scores, budgets, net.masks)
    return keep_top(ranked, sparsity, "global", within=net)


def keep_above(
    scores: Mapping[str, Tensor], threshold: float, within: Constrained | Keep | None = None, floor: float = 0.0
) -> dict[str, Tensor]:
    """Keep what is in ``within`` (a network or masks) and scores above ``threshold``, and of every layer its floor."""
    held, floor = _masks_and_floor(within, floor)
    kept = {name: score.detach() > threshold for name, score in scores.items()}
    if floor:
        highest = keep_top(scores, 1 - floor, "local", held)
        kept = {name: keep | highest[name] for name, keep in kept.items()}
    return {name: keep & held[name] if name in held else keep for name, keep in kept.items()}


def keep_channels(
    net: Constrained,
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: ChannelScope = "local",
    round_to: int = 0,
    normalise: Normalise = "mean",
) -> dict[str, Tensor]:
    """Keep the highest-scored channels of each group, as many as the net's target allows.

    ``scores`` holds one score a channel for every group of ``net.groups()``. ``round_to`` makes every
    width a multiple of it; 0 is 8 where the narrowest group has at least 64 channels, else 1. ``normalise`` says what
    divides the scores of a group before groups compete: nothing, their mean, or their L2 norm. With the scope
    ``isomorphic`` groups compete with those of their structure, and each structure loses the same share of its channels
    (Fang et al. 2024, Isomorphic Pruning, arXiv:2407.04616).

    Raises:
        TrialError: the target cannot be reached within 1 % of the net.
    """
    structures = {group.name: structure_of(group, net.model) for group in net.groups()} if scope == "isomorphic" else {}
    widths = solve_widths(
        net.costs, {name: score.detach().float().cpu() for name, score in scores.items()}, net.target, sparsity,
        scope, round_to, net.floor, normalise, structures,
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
    if layer in net.constraints.sharing:
        raise TrialError(f"the outputs of {layer} share filters already")
    return kept_width(len(net.parameters()[layer]), sparsity, width_unit(net.costs.dense, round_to), net.floor)
