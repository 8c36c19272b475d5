"""Trials a minute of a study of a small network: several at once (ours) and one after the other (peer).

A process takes some seconds to start, which a study of minutes must earn back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._turns import Work, in_turns
from prunetui.config import parse_study, study_toml
from prunetui.execute.execution import execute
from prunetui.store import Status, create_run

SETTINGS = (
    "methods=['global-unstructured','l1-structured']", "sparsities='0.1..0.9/0.1'", "model.width=64",
    "train.epochs=1", "finetune.epochs=8", "data.limit=1000", "measure.latency=false",
)  # fmt: skip
TRIALS = 1 + 2 * 9


def study(parallel: str) -> Work:
    """The whole study in a new folder."""
    asked = parse_study("name = 'parallel'", [*SETTINGS, f"run.parallel={parallel}"])

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = create_run(Path(folder), study_toml(asked), Status(state="queued", name=asked.name))
            assert execute(run, "auto", lambda: False) == 0
            assert len(run.rows()) == TRIALS
        return 60 * TRIALS

    return work


def results() -> Iterator[dict[str, Any]]:
    """As many at once as ``auto`` chooses."""
    sides = partial(study, "'auto'"), partial(study, "1")
    yield in_turns(f"{TRIALS} trials, several at once", *sides, "trials/min", rounds=1, warm=0)
