"""What an edit achieved, and the assertion that it is what was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from prunetui.api import Channels, Masks, Modules
from prunetui.budget import TOLERANCE, least_width, rounded_down, width_unit
from prunetui.engine.graph import Graph
from prunetui.engine.state import State
from prunetui.errors import TrialError
from prunetui.plan import Prune, Train


def achieved(kind: str, state: State, graph: Graph) -> float:
    """The fraction of the dense net that is gone: of prunable weights, params, macs, or channels."""
    if kind == "channels":
        return 1 - sum(graph.widths(state.tensors).values()) / max(1, sum(graph.dense.values()))
    left = graph.present(kind, state.tensors)
    if kind == "sparsity":
        left -= sum(int((~mask).sum()) for mask in state.masks.values())
    return 1 - left / graph.cost(kind, graph.dense)


def check_achieved(step: Prune, edit: Masks | Channels | Modules, after: State, graph: Graph) -> None:
    """Assert that an edit removed what was asked for.

    Raises:
        TrialError: it did not, or it went below the study's floor.
    """
    _check_floor(step, edit, after)
    if step.target == "threshold":
        if step.value > 0 and achieved("sparsity", after, graph) == 0:
            raise TrialError(f"no weight lies at or below {step.value:g}: nothing was pruned")
        return
    kind = "sparsity" if step.target == "pattern" else step.target
    reached = achieved(kind, after, graph)
    masks = list(edit.keep.values()) if isinstance(edit, Masks) else []
    if step.target == "channels":
        fine = _widths_fit(step, edit, after, graph)
    elif step.target == "pattern":
        fine = bool(masks) and all(abs(_share(mask) - step.value) < 1e-9 for mask in masks)
    elif step.only and isinstance(edit, Masks):
        mask = edit.keep[step.only]
        fine = abs(_share(mask) - step.value) <= _grain(edit) / mask.numel()
    else:
        # Per-layer budgets round once a layer; kernels and channels come in whole units.
        weights = graph.cost("sparsity", graph.dense)
        slack = _grain(edit) * len(after.masks) / weights if isinstance(edit, Masks) else TOLERANCE
        fine = abs(reached - step.value) <= slack + 1e-9
    if not fine:
        raise TrialError(f"{step.method} was asked for {step.target}:{step.value:g} and removed {reached:.4%} of it")


def _check_floor(step: Prune, edit: Masks | Channels | Modules, after: State) -> None:
    """Every layer keeps the fraction of its weights that the study's floor says; widths are the solver's."""
    for name, mask in edit.keep.items() if isinstance(edit, Masks) else ():
        kept = int(mask.sum())
        if kept < int(step.rules["floor"] * mask.numel()):  # a method may round either way
            raise TrialError(
                f"{step.method} keeps {kept} of {mask.numel()} weights of {name}, less than the floor of "
                f"{step.rules['floor']:g} of every layer"
            )


def _widths_fit(step: Prune, edit: Masks | Channels | Modules, after: State, graph: Graph) -> bool:
    """Whether every layer is as narrow as the ratio asks, or as narrow as its unit and its floor let it be."""
    if isinstance(edit, Modules):
        widths = {name: len(layer.weight) for name, layer in edit.shared.items()}
        dense = {name: len(layer.labels) for name, layer in edit.shared.items()}
    else:
        widths = graph.widths(after.tensors)
        merged = isinstance(edit, Channels) and edit.moved
        some = merged or step.only
        dense = {g: width for g, width in graph.dense.items() if g in edit.keep or not some}
    unit = width_unit(graph.dense, step.options.get("round_to", 0 if isinstance(edit, Channels) else 1))
    floor = step.rules["floor"]
    return bool(dense) and all(
        widths[g] <= max(rounded_down(channels, step.value, 1), least_width(channels, unit, floor))
        for g, channels in dense.items()
    )


def _share(mask: Tensor) -> float:
    """The fraction that a mask removes."""
    return int((~mask).sum()) / mask.numel()


def _grain(edit: Masks) -> int:
    """How many weights go at a time: those of a kernel where every mask keeps or removes kernels whole."""
    kernels = [mask.flatten(2) for mask in edit.keep.values() if mask.dim() == 4]
    if not kernels or any(bool((k != k[:, :, :1]).any()) for k in kernels):
        return 1
    return max(k.shape[2] for k in kernels)


def check_shaped(step: Train, before: State, masks: Mapping[str, Tensor]) -> None:
    """Assert that a method that moved masks while training removed neither more nor less.

    Raises:
        TrialError: it did.
    """
    was = {name: int((~mask).sum()) for name, mask in before.masks.items()}
    removed = {name: int((~mask).sum()) for name, mask in masks.items()}
    if sum(was.values()) != sum(removed.values()):
        assert step.shaped
        raise TrialError(
            f"{step.shaped['method']} changed the number of pruned weights while training: "
            f"{sum(was.values())} before, {sum(removed.values())} after"
        )
