"""A finished trial as a row of results.csv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from prunetui.engine.count import count
from prunetui.engine.graph import Graph
from prunetui.engine.state import State, instantiate
from prunetui.engine.verify_edit import achieved, reached_already, truly_zero
from prunetui.events import NO_SPEED_UP
from prunetui.metrics import OF_ANY_RUN, SECONDS, Metrics
from prunetui.tree import Trial


def trial_row(
    trial: Trial,
    final: State,
    measured: Mapping[str, Mapping[str, Any]],
    graph: Graph,
    size: int | None,
    seconds: float,
    metrics: Metrics,
    example: Any,
) -> dict[str, Any]:
    """All figures of a trial; ``measured`` by the names of ``plan.measurements``, ``size`` in bytes.

    ``metrics`` are those of the task: the keys of each measurement. ``example`` is what goes into the network.
    """
    counts = count(instantiate(final, torch.device("cpu")), example, final.masks)
    latency = measured.get("latency", {})
    return {
        **trial.identity(),
        "sparsity": OF_ANY_RUN["sparsity"].rounded(truly_zero(final, graph)),
        "params": counts.params,
        "params_nonzero": counts.params_nonzero,
        "macs": counts.macs,
        "macs_nonzero": counts.macs_nonzero,
        **metrics.row(measured),
        "bytes": size,
        **{name: round(value, 4) for name, value in latency.items() if name != "runtime"},
        "runtime": NO_SPEED_UP if trial.masked else latency.get("runtime"),
        "seconds": SECONDS.rounded(seconds),
        "status": "done",
    }


def zeros_note(trial: Trial, start: State, final: State, graph: Graph) -> str | None:
    """What a row says of a trial that asked for no more than the zeros it began with; None of any other."""
    if not start.masks:
        return None
    before = achieved("sparsity", start, graph)
    if trial.target == "threshold" and achieved("sparsity", final, graph) == before:
        return f"nothing else is as small: {before:.2%} of the weights were zero before"
    if not reached_already(trial.target, trial.value, trial.layer or None, start, graph):
        return None
    if trial.layer:
        mask = start.masks[trial.layer]
        return f"reached already: {int((~mask).sum())} of {mask.numel()} weights of {trial.layer} were zero before"
    return f"reached already: {before:.2%} of the weights were zero before"
