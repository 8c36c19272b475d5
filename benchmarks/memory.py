"""Peak memory of the process, MiB: training and evaluation, as in the cases of those names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import evaluation, training
from benchmarks._turns import Make, in_turns


def results() -> Iterator[dict[str, Any]]:
    """A ratio above 1 is memory saved."""
    for name, batch, images in (("resnet20", 512, 1024), ("resnet18", 128, 256)):
        sides = partial(training.ours, name, batch, images), partial(training.peer, name, batch, images)
        yield _memory(f"memory, training {name}, batch {batch}", *sides, training.child_environment(batch))
    with tempfile.TemporaryDirectory() as folder:
        case = evaluation.trained("resnet20", folder, 2000)
        sides = partial(evaluation.ours, case, True), partial(evaluation.peer, case)
        yield _memory("memory, evaluation resnet20", *sides, {})


def _memory(name: str, ours: Make, peer: Make, environment: Mapping[str, str]) -> dict[str, Any]:
    taken = in_turns(name, ours, peer, "MiB", rounds=1, environment=environment)
    mine, theirs = taken["memory"], taken["peer_memory"]
    return {"name": name, "ours": mine, "peer": theirs, "ratio": theirs / mine, "unit": "MiB"}
