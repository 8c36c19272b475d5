"""From a study's sparsity, of all dense weights, to that of the weights which a method may prune now."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.engine.graph import Graph
from prunetui.engine.state import State
from prunetui.errors import TrialError


def own_share(value: float, exclude: Sequence[str], state: State, graph: Graph) -> float:
    """What a sparsity of all dense weights is of those that a method may prune now: not of layers it leaves alone.

    Raises:
        TrialError: more is gone already, or the others are too few.
    """
    dense, present = graph.cost("sparsity", graph.dense), graph.present("sparsity", state.tensors)
    apart = graph.excluded(exclude) & {*graph.prunable}
    if present == dense and not apart:
        return value
    zeros = sum(int((~mask).sum()) for name, mask in state.masks.items() if name in apart)
    own = present - sum(state.tensors[f"{name}.weight"].numel() for name in apart)
    share = (value * dense - (dense - present) - zeros) / own
    if share < 0:
        gone = 1 - (present - zeros) / dense
        raise TrialError(f"{gone:.2%} of the weights are already gone; {value:g} is below that")
    if share > 1:
        have = f"the layers it may prune have {own / dense:.2%}"
        raise TrialError(f"cannot remove {value:.2%} of the weights: {have}")
    return share
