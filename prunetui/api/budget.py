"""How many channels each group keeps so that the net as a whole meets its target.

Widths of all groups follow from one number (the same ratio everywhere, or one global threshold on the
scores), which is bisected on the exact cost of the resulting net; single groups are then moved by one
unit until the cost is as close as it gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from prunetui.errors import TrialError

Widths = dict[str, int]
TOLERANCE = 0.01
"""Largest distance between target and achieved, as a fraction of the dense net."""
WIDE_ENOUGH = 64
"""Narrowest group that is rounded to multiples of 8 when nothing is asked for."""


@dataclass(frozen=True)
class Costs:
    """What a net costs as a function of its widths.

    ``dense`` are the widths before any pruning, ``current`` those now; ``cost(kind, widths)`` is exact,
    with kind one of sparsity (prunable weights), params or macs.
    """

    dense: Widths
    current: Widths
    cost: Callable[[str, Widths], int]


def rounded_down(channels: int, ratio: float, round_to: int) -> int:
    """``floor(channels * (1 - ratio))``, down to a multiple of ``round_to`` and never below it."""
    if ratio == 0:
        return channels
    kept = math.floor(channels * (1 - ratio) + 1e-9)
    return min(channels, max(kept - kept % round_to, round_to))


def least_width(channels: int, unit: int, floor: float) -> int:
    """The fewest of ``channels`` that may be kept: one unit, or what the floor rounds up to."""
    return unit * max(1, math.ceil(floor * channels / unit - 1e-9))


def kept_width(channels: int, ratio: float, unit: int, floor: float) -> int:
    """The width that the target ``channels`` leaves of ``channels``, never below the floor."""
    return min(channels, max(rounded_down(channels, ratio, unit), least_width(channels, unit, floor)))


def width_unit(dense: Widths, round_to: int) -> int:
    """What widths are multiples of: ``round_to``, or when that is 0 what the narrowest group can bear."""
    return round_to or (8 if min(dense.values(), default=0) >= WIDE_ENOUGH else 1)


def check_floor(ratio: float, floor: float) -> None:
    """Refuse a ratio of channels that a study's floor forbids.

    Raises:
        TrialError: the floor keeps more than the ratio asks for.
    """
    if floor > 1 - ratio + 1e-9:
        raise TrialError(
            f"cannot remove {ratio:.2%} of the channels: {1 - floor:.2%} may go before every layer is at its floor"
        )


def solve_widths(
    costs: Costs,
    scores: Mapping[str, Tensor],
    target: str,
    sparsity: float,
    scope: str,
    round_to: int = 0,
    floor: float = 0.0,
    normalise: str = "mean",
    structures: Mapping[str, Hashable] | None = None,
) -> Widths:
    """The width of each group that meets ``target`` at ``sparsity``; none falls below ``floor`` of its dense width.

    With the scope ``global`` groups compete by their scores as they are (``normalise`` is ``none``), or divided by
    their group's mean (``mean``) or L2 norm (``l2``, as in Molchanov et al. 2017, arXiv:1611.06440). With the scope
    ``isomorphic`` they compete with those that ``structures`` gives the same value.

    Raises:
        TrialError: no widths come within ``TOLERANCE`` of the target, or more is already gone.
    """
    unit = width_unit(costs.dense, round_to)
    groups = [name for name in scores if name in costs.dense]
    if not groups:
        raise TrialError("this net has no channels that can be removed")
    if target == "channels":
        check_floor(sparsity, floor)
        widths = {g: kept_width(costs.dense[g], sparsity, unit, floor) for g in groups}
        grown = [g for g in groups if widths[g] > costs.current[g]]
        if grown:
            raise TrialError(f"{grown[0]} already has fewer channels than a ratio of {sparsity:g} keeps")
        return widths
    if sparsity == 0:
        return dict(costs.current)
    least = _least(costs, groups, unit, floor)
    competing = {g: scores[g] / _scale(scores[g], normalise) for g in groups}
    classes = _classes(groups, scope, structures or {})
    family = _family(costs, competing, classes, unit, least) if classes else _alike(costs, unit, least)
    return _meet(costs, least, target, sparsity, family, unit)


def _classes(groups: list[str], scope: str, structures: Mapping[str, Hashable]) -> list[list[str]]:
    """The groups that compete with one another; none where each keeps the same share."""
    if scope == "local":
        return []
    found: dict[Hashable, list[str]] = {}
    for group in groups:
        found.setdefault(structures.get(group) if scope == "isomorphic" else None, []).append(group)
    return list(found.values())


def _least(costs: Costs, groups: list[str], unit: int, floor: float) -> Widths:
    """The fewest channels each group may keep: one unit, or what the floor rounds up to."""
    return {g: min(least_width(costs.dense[g], unit, floor), costs.current[g]) for g in groups}


def _scale(scores: Tensor, normalise: str) -> Tensor:
    """What divides the scores of a group."""
    scales = {"none": scores.new_ones(()), "mean": scores.abs().mean(), "l2": scores.norm()}
    scale: Tensor = scales[normalise]
    return scale.clamp_min(1e-12)


def _clamped(costs: Costs, group: str, kept: float, unit: int, least: Widths) -> int:
    return min(costs.current[group], max(unit * round(kept / unit), least[group]))


def _alike(costs: Costs, unit: int, least: Widths) -> Callable[[float], Widths]:
    """Widths as a function of the ratio that every group loses."""
    return lambda ratio: {g: _clamped(costs, g, costs.dense[g] * (1 - ratio), unit, least) for g in least}


def _family(
    costs: Costs, scores: Mapping[str, Tensor], classes: list[list[str]], unit: int, least: Widths
) -> Callable[[float], Widths]:
    """Widths as a function of the ratio of channels that each class loses, those with its lowest scores."""
    rankings = [torch.cat([scores[g] for g in groups]).sort().values for groups in classes]

    def ranked(ratio: float) -> Widths:
        widths = {}
        for groups, ranking in zip(classes, rankings, strict=True):
            threshold = ranking[min(int(ratio * len(ranking)), len(ranking) - 1)]
            for g in groups:
                widths[g] = _clamped(costs, g, int((scores[g] >= threshold).sum()), unit, least)
        return widths

    return ranked


def _meet(
    costs: Costs, least: Widths, target: str, sparsity: float, family: Callable[[float], Widths], unit: int
) -> Widths:
    def cost(widths: Widths) -> int:
        return costs.cost(target, {**costs.current, **widths})  # a method may leave some groups alone

    total = costs.cost(target, costs.dense)
    wanted = (1 - sparsity) * total
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(family(middle)) > wanted else (low, middle)
    widths = min((family(low), family(high)), key=lambda w: abs(cost(w) - wanted))
    widths = _refined(costs.current, least, lambda w: abs(cost(w) - wanted), widths, unit)
    reached = 1 - cost(widths) / total
    if abs(reached - sparsity) > TOLERANCE:
        raise TrialError(
            f"cannot remove {sparsity:.2%} of the {'weights' if target == 'sparsity' else target}: the nearest is "
            f"{reached:.2%} with widths that are multiples of {unit} and at least {min(least.values())} channels in "
            "every layer"
        )
    return widths


def _refined(current: Widths, least: Widths, distance: Callable[[Widths], float], widths: Widths, unit: int) -> Widths:
    """Move single groups by one unit while that brings the cost closer to what is wanted."""
    best = distance(widths)
    while True:
        moves = [
            {**widths, g: width}
            for g in least
            for width in (widths[g] - unit, widths[g] + unit)
            if least[g] <= width <= current[g]
        ]
        nearest = min(moves, key=distance, default=widths)
        if distance(nearest) >= best:
            return widths
        widths, best = nearest, distance(nearest)
