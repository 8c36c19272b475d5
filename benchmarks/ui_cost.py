"""Images a second of a training run while its live screen is open (ours) and while nobody looks (peer).

One run trains all the time, with a network as large as ResNet-20 on CIFAR-10, so that it takes every core. Its screen,
160x50, is stopped and goes on in turns of some seconds: trainings differ from one another by more than a screen costs.
The processor time that the screen takes beside it is printed as well, against the 30 ms a second that may be lost.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks._terminal import Terminal
from prunetui import events
from prunetui.store import Run, Tail, list_runs

SETTINGS = (
    "name='ui-cost'", "methods=['l1-unstructured']", "sparsities=[0.5]", "model.width=64", "train.epochs=100_000",
    "train.batch_size=128",
)  # fmt: skip
ROUNDS = 75
SETTLED, SECONDS = 1.0, 3.0
"""A turn, after what a screen that goes on has to catch up with."""
SIZE = (160, 50)
ALLOWED = 30.0
"""Milliseconds of one core a second: 3 % of what a training of one thread has."""


@dataclass(frozen=True)
class Turn:
    """Images a second, and the milliseconds of processor time a second that the screen took."""

    rate: float
    busy: float


def results() -> Iterator[dict[str, Any]]:
    """At least 0.97 is wanted."""
    with tempfile.TemporaryDirectory() as folder, training(Path(folder)) as run:
        watch = ["-m", "prunetui", "watch", "last", "--runs", folder]
        with Terminal(watch, SIZE, Path(folder) / "config") as screen:
            screen.until_shown(b"img/s")
            tail, pairs = run.tail(), []
            for turn in range(ROUNDS):
                orders = ((True, False), (False, True))
                pairs.append({watched: _turn(screen, tail, watched) for watched in orders[turn % 2]})
    low, middle, high = quantiles((pair[True].rate / pair[False].rate for pair in pairs), n=4)
    mine, theirs = (median(pair[watched].rate for pair in pairs) for watched in (True, False))
    yield {
        "name": f"training with the live screen open, {ROUNDS} pairs of turns", "ours": mine, "peer": theirs,
        "ratio": middle, "spread": high - low, "unit": "images/s",
    }  # fmt: skip
    taken = median(pair[True].busy for pair in pairs)
    yield {
        "name": "processor time of the live screen", "ours": taken, "peer": ALLOWED, "ratio": ALLOWED / taken,
        "unit": "ms/s",
    }  # fmt: skip


@contextmanager
def training(folder: Path) -> Iterator[Run]:
    """A run that trains until the context is left."""
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "prunetui", "--batch", "--runs", str(folder), "--quiet", *sets]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list_runs(folder):
            if process.poll() is not None:
                raise RuntimeError(f"the run ended with exit code {process.returncode}")
            _wait(process, 0.1)
        yield list_runs(folder)[0][0]
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _turn(screen: Terminal, tail: Tail, watched: bool) -> Turn:
    screen.go_on() if watched else screen.stop()
    screen.sent(SETTLED)
    tail.read()
    before = screen.busy_seconds()
    screen.sent(SECONDS)
    busy = 1000 * (screen.busy_seconds() - before) / SECONDS
    told = [event for event in tail.read() if isinstance(event, events.Progress)]
    if len(told) < 2:
        raise RuntimeError("the run has ended, or is too slow to be watched")
    return Turn((told[-1].done - told[0].done) / (told[-1].time - told[0].time), busy)
