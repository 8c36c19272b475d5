"""Times of two things that take turns, so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median, quantiles


def side_by_side(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int = 40,
    passes: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, object]:
    """Median milliseconds of each and the median ratio peer / ours of single rounds with its interquartile range.

    A turn is ``passes`` calls in a row; what computes in one thread is better timed with ``time.thread_time``, which
    leaves out what other processes take from its core.
    """
    for warm in (ours, peer) * 3:
        warm()
    pairs = [tuple(_milliseconds(run, passes, clock) for run in (ours, peer)) for _ in range(rounds)]
    ratios = [theirs / mine for mine, theirs in pairs]
    low, middle, high = quantiles(ratios, n=4)
    mine, theirs = (median(times) for times in zip(*pairs, strict=True))
    return {"name": name, "ours": mine, "peer": theirs, "ratio": middle, "spread": high - low, "unit": "ms"}


def _milliseconds(run: Callable[[], object], passes: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(passes):
        run()
    return 1000 * (clock() - started) / passes
