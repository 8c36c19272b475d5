"""What an edit achieved, and the assertion that it is what was asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from prunetui.api import Channels, Masks, Modules
from prunetui.api.budget import TOLERANCE, kept_width, least_width, rounded_down, width_unit
from prunetui.engine.graph import Graph
from prunetui.engine.state import State
from prunetui.errors import TrialError
from prunetui.plugins import method_catalogue
from prunetui.plugins.own_files import short


class Asked(Protocol):
    """What an edit was asked for; fields as in ``steps.Prune``."""

    @property
    def method(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def target(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def rules(self) -> Mapping[str, Any]: ...
    @property
    def only(self) -> str | None: ...


def achieved(kind: str, state: State, graph: Graph) -> float:
    """The fraction of the dense net that is gone: of prunable weights, params, macs, or channels."""
    if kind == "channels":
        return 1 - sum(graph.widths(state.tensors).values()) / max(1, sum(graph.dense.values()))
    left = graph.present(kind, state.tensors)
    if kind == "sparsity":
        counted = set(graph.prunable)
        left -= sum(int((~mask).sum()) for name, mask in state.masks.items() if name in counted)
    return 1 - left / graph.cost(kind, graph.dense)


def truly_zero(state: State, graph: Graph) -> float:
    """The fraction of the dense net's prunable weights that is gone or zero, whether a mask holds it or not."""
    left = 0
    for name in graph.prunable:
        kept = state.tensors[f"{name}.weight"] != 0
        left += int((kept & state.masks[name].to(kept.device) if name in state.masks else kept).sum())
    return 1 - left / graph.cost("sparsity", graph.dense)


def reached_already(target: str, value: float, only: str | None, state: State, graph: Graph) -> bool:
    """Whether a net that came with zeros has as many as are asked for, of one layer or in all: nothing is to do then.

    Only of the target ``sparsity``: channels, parameters and MACs do not go with zeros.
    """
    if not state.masks or target != "sparsity":
        return False
    if only:
        return only in state.masks and _share(state.masks[only]) >= value - 1e-9
    return achieved("sparsity", state, graph) >= value - 1e-9


Edit = Masks | Channels | Modules
COUNTED = {"sparsity": "weights", "pattern": "weights", "params": "parameters", "macs": "MACs"}
"""What the fraction of a target is of."""


def check_achieved(
    step: Asked, edit: Edit, before: State, after: State, graph: Graph, unranked: Collection[str] = ()
) -> None:
    """Assert that an edit removed what was asked for, but for groups that are ``unranked`` and left alone.

    Raises:
        TrialError: it did not, or it went below the study's floor.
    """
    if isinstance(edit, Masks):
        _check_floor(step, edit)
    if step.target == "threshold":
        if step.value > 0 and achieved("sparsity", after, graph) == 0:
            raise TrialError(f"no weight lies at or below {step.value:g}: nothing was pruned")
        return
    if not _as_asked(step, edit, before, after, graph, unranked):
        asked = f"{short(step.method)} was asked for {step.target}:{step.value:g}"
        raise TrialError(f"{asked} and removed {_removed(step, edit, after, graph)}")


def _removed(step: Asked, edit: Edit, after: State, graph: Graph) -> str:
    """How much is gone, and of what."""
    if step.target == "channels" and isinstance(edit, Modules):
        return f"{filters_gone(edit):.4%} of the filters of the layers it chose"
    if step.target == "channels":
        return f"{achieved('channels', after, graph):.4%} of the channels"
    if step.only and isinstance(edit, Masks):
        return f"{_share(edit.keep[step.only]):.4%} of the weights of {step.only}"
    kind = "sparsity" if step.target == "pattern" else step.target
    return f"{achieved(kind, after, graph):.4%} of the {COUNTED[kind]}"


def _as_asked(step: Asked, edit: Edit, before: State, after: State, graph: Graph, unranked: Collection[str]) -> bool:
    """Whether what is gone is what was asked for, as nearly as its units allow."""
    if step.target == "channels":
        return _widths_fit(step, edit, after, graph, unranked)
    if isinstance(edit, Masks):
        return _masks_fit(step, edit, before, after, graph)
    return step.target != "pattern" and _is_near(step, after, graph, TOLERANCE)


def _masks_fit(step: Asked, edit: Masks, before: State, after: State, graph: Graph) -> bool:
    """Of a pattern every layer's share; of one layer alone its own; else that of the net."""
    if step.target == "pattern":
        return _pattern_fits(step.value, edit, before)
    if step.only:
        mask = edit.keep[step.only]
        return abs(_share(mask) - step.value) <= _grain(edit, before) / mask.numel()
    # Per-layer budgets round once a layer; kernels come in whole units.
    slack = _grain(edit, before) * len(after.masks) / graph.cost("sparsity", graph.dense)
    return _is_near(step, after, graph, slack) or _more_was_there(step.value, edit, before)


def _is_near(step: Asked, after: State, graph: Graph, slack: float) -> bool:
    return abs(achieved(step.target, after, graph) - step.value) <= slack + 1e-9


def _pattern_fits(value: float, edit: Masks, before: State) -> bool:
    """Whether every layer lost the pattern's share; one that came with zeros may have more than that."""
    for name, mask in edit.keep.items():
        more = _share(mask) - value
        if more <= -1e-9 or (more >= 1e-9 and name not in before.masks):
            return False
    return bool(edit.keep)


def _more_was_there(value: float, edit: Masks, before: State) -> bool:
    """Whether every layer has what was asked for, but those that came with more zeros and lost nothing."""
    for name, mask in edit.keep.items():
        held = before.masks.get(name)
        same = held is not None and _share(held) > value and torch.equal(held, mask.to(held.device))
        if not same and abs(_share(mask) - value) > _grain(edit, before) / mask.numel():
            return False
    return bool(edit.keep)


def _check_floor(step: Asked, edit: Masks) -> None:
    """Every layer keeps the fraction of its weights that the study's floor says; widths are the solver's."""
    for name, mask in edit.keep.items():
        kept = int(mask.sum())
        if kept < int(step.rules["floor"] * mask.numel()):  # a method may round either way
            raise TrialError(
                f"{short(step.method)} keeps {kept} of {mask.numel()} weights of {name}, less than the floor of "
                f"{step.rules['floor']:g} of every layer"
            )


def filters_gone(edit: Modules) -> float:
    """The fraction of their filters that the layers of an edit no longer compute."""
    layers = edit.shared.values()
    return 1 - sum(len(layer.weight) for layer in layers) / max(1, sum(len(layer.labels) for layer in layers))


def _widths_fit(step: Asked, edit: Edit, after: State, graph: Graph, unranked: Collection[str]) -> bool:
    """Whether every layer is as narrow as the ratio asks, or as its unit and its floor let it be, and no narrower."""
    if isinstance(edit, Modules):
        widths = {name: len(layer.weight) for name, layer in edit.shared.items()}
        dense = {name: len(layer.labels) for name, layer in edit.shared.items()}
    else:
        widths = graph.widths(after.tensors)
        some = (isinstance(edit, Channels) and edit.moved) or step.only
        apart = graph.excluded(step.rules.get("exclude", ()))
        may = {group.name for group in graph.groups if not apart & {*group.producers}} - {*unranked}
        dense = {g: width for g, width in graph.dense.items() if g in (edit.keep if some else may)}
    unit = width_unit(graph.dense, _round_to(step, 1 if isinstance(edit, Modules) else 0))
    floor = step.rules["floor"]

    def fits(width: int, channels: int) -> bool:
        most = max(rounded_down(channels, step.value, 1), least_width(channels, unit, floor))
        return kept_width(channels, step.value, unit, floor) <= width <= most

    return bool(dense) and all(fits(widths[g], channels) for g, channels in dense.items())


def _round_to(step: Asked, otherwise: int) -> int:
    """The option ``round_to`` of a step: what the study says, else the method's default."""
    info = method_catalogue.catalogue().methods.get(step.method)
    defaults = {option.name: option.default for option in info.options} if info else {}
    return int({**defaults, **step.options}.get("round_to", otherwise))


def _share(mask: Tensor) -> float:
    """The fraction that a mask removes."""
    return int((~mask).sum()) / mask.numel()


def _grain(edit: Masks, before: State) -> int:
    """How many weights go at a time: those of a kernel where kernels that lose weights lose all that they had left."""
    grain = 1
    for name, mask in edit.keep.items():
        if mask.dim() < 3:
            continue
        kernels = mask.flatten(2).cpu()
        held = before.masks[name].flatten(2).cpu() if name in before.masks else torch.ones_like(kernels)
        losing = (held & ~kernels).any(2)
        if bool((kernels & losing[:, :, None]).any()):
            return 1
        grain = max(grain, kernels.shape[2]) if bool(losing.any()) else grain
    return grain
