"""Two things that take turns, each in a process of its own as their users run them, with its own settings of memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from statistics import median, quantiles
from typing import Any
from unittest import mock

Work = Callable[[], float]
"""One turn; returns how much it did (images, events)."""
Make = Callable[[], Work]
"""Gets everything ready, in the process that will work: a function of a module, perhaps a ``partial`` of one."""


class _Side:
    def __init__(self, make: Make, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(make, theirs))
        with mock.patch.dict(os.environ, environment):  # a new process reads its settings of memory when it starts
            self._process.start()
        theirs.close()

    def turn(self) -> tuple[float, float]:
        """What was done a second, and the process's peak memory in MiB."""
        self._pipe.send(True)
        result: tuple[float, float] = self._pipe.recv()
        return result

    def end(self) -> None:
        self._pipe.send(False)
        self._process.join()


def _work(make: Make, pipe: Connection) -> None:
    work = make()
    while pipe.recv():
        started = time.perf_counter()
        done = work()
        seconds = time.perf_counter() - started
        pipe.send((done / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def in_turns(
    name: str,
    ours: Make,
    peer: Make,
    unit: str,
    rounds: int = 5,
    warm: int = 1,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Medians of what each does a second, and the median ratio of single rounds with its interquartile range.

    ``memory`` and ``peer_memory`` are the peaks of the two processes in MiB; ours starts with ``environment``.
    """
    sides = (_Side(ours, environment or {}), _Side(peer, {}))
    for _ in range(warm):
        for side in sides:
            side.turn()
    pairs = [(sides[0].turn(), sides[1].turn()) for _ in range(rounds)]
    for side in sides:
        side.end()
    ratios = [mine[0] / theirs[0] for mine, theirs in pairs]
    low, _, high = quantiles(ratios, n=4) if rounds > 1 else (0.0, 0.0, 0.0)
    return {
        "name": name,
        "ours": median(mine[0] for mine, _ in pairs),
        "peer": median(theirs[0] for _, theirs in pairs),
        "ratio": median(ratios),
        **({"spread": high - low} if rounds > 1 else {}),
        "unit": unit,
        "memory": pairs[-1][0][1],
        "peer_memory": pairs[-1][1][1],
    }
