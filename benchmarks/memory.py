"""Peak memory of the process, MiB: training, as in ``training``, and a one-shot sweep, as in ``sweep``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import sweep, training
from benchmarks._turns import in_turns


def results() -> Iterator[dict[str, Any]]:
    """A ratio above 1 is memory saved."""
    sizes = ("resnet20", 512, 1024)
    yield _memory(
        "memory, training resnet20, batch 512", partial(training.ours, *sizes), partial(training.peer, *sizes)
    )
    with tempfile.TemporaryDirectory() as root:
        yield _memory("memory, sweep", partial(sweep.ours, root, "1"), partial(sweep.peer, root))


def _memory(name: str, ours: Any, peer: Any) -> dict[str, Any]:
    taken = in_turns(name, ours, peer, "MiB", rounds=2, warm=0)
    mine, theirs = taken["memory"], taken["peer_memory"]
    return {"name": name, "ours": mine, "peer": theirs, "ratio": theirs / mine, "unit": "MiB"}
