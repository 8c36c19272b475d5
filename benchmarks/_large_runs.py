"""Runs as large, and events as many, as the benchmarks of the application show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks._runs import LEVELS, METHODS, row, run_of
from prunetui import events
from prunetui.store import Run

TRIALS, EVENTS = 2_000, 10_000


def large(root: Path) -> Run:
    """A run of many trials and events that still runs."""
    names = [f"{method} {i}" for method in METHODS for i in range(5)]
    table = []
    for seed in range(TRIALS // (len(names) * len(LEVELS)) + 1):
        table += [{**row(name.split()[0], x, seed), "label": name} for name in names for x in LEVELS]
    table = [{**one, "trial": f"{place}-{one['trial']}"} for place, one in enumerate(table[:TRIALS])]
    told: list[events.Event] = [events.RunStarted("", "cpu", False), events.Planned(TRIALS + 1, 0, 9000, 10**6)]
    for one in table:
        key = str(one["trial"])
        told += [events.StepStarted(key, "Train", "train 1 epoch", key, 100)]
        told += [events.Progress(key, 50, 100, 1, 1, 1000.0, 0.5, 0.1)] * (EVENTS // TRIALS - 3)
        told += [events.EpochFinished(key, 1, 1, 0.5, 80.0), events.TrialFinished(key, "done", one)]
    return run_of(root, "large", "running", table, told)


def going_on() -> Iterator[events.Event]:
    """What a training says, without an end."""
    yield events.StepStarted("now", "Train", "train 1000 epochs", "taylor-0.5-s0", 100)
    for i in count(1):
        yield events.Progress("now", i % 100, 100, i // 100 + 1, 1000, 1000.0 + i, 1 / i, 0.1)
        if not i % 20:
            yield events.EpochFinished("now", i // 20, 1000, 1 / i, 100 - 50 / i)
