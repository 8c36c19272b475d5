"""Times of two things that take turns, so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median, quantiles


def side_by_side(
    name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int = 40
) -> dict[str, object]:
    """Median milliseconds of each and the median ratio peer / ours of single rounds with its interquartile range."""
    for warm in (ours, peer) * 3:
        warm()
    pairs = [(_milliseconds(ours), _milliseconds(peer)) for _ in range(rounds)]
    ratios = [theirs / mine for mine, theirs in pairs]
    low, middle, high = quantiles(ratios, n=4)
    mine, theirs = (median(times) for times in zip(*pairs, strict=True))
    return {"name": name, "ours": mine, "peer": theirs, "ratio": middle, "spread": high - low, "unit": "ms"}


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)
