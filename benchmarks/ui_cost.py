"""Images a second of a training run while its live screen is open (ours) and while nobody looks (peer).

The network is as large as ResNet-20 on CIFAR-10, so that it takes every core, and the screen is 160x50.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks._terminal import Terminal
from prunetui import events
from prunetui.store import list_runs

SETTINGS = (
    "name='ui-cost'", "methods=['l1-unstructured']", "sparsities=[0.5]", "model.width=64", "train.epochs=24",
    "train.batch_size=128", "finetune.epochs=0", "measure.recalibrate=0",
)  # fmt: skip
ROUNDS = 5
SIZE = (160, 50)


def images_per_second(watched: bool) -> float:
    """Median over the epochs of one run."""
    with tempfile.TemporaryDirectory() as folder:
        sets = [word for setting in SETTINGS for word in ("--set", setting)]
        command = [sys.executable, "-m", "prunetui", "--batch", "--runs", folder, "--quiet", *sets]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list_runs(Path(folder)):
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        if watched:
            with Terminal(
                ["-m", "prunetui", "watch", "last", "--runs", folder], SIZE, Path(folder) / "config"
            ) as screen:
                while process.poll() is None:
                    screen.sent(0.5)
        if process.wait() != 0:
            raise RuntimeError(f"the run ended with exit code {process.returncode}")
        told = list_runs(Path(folder))[0][0].tail().read()
        return median(e.images_per_second for e in told if isinstance(e, events.Progress) and e.images_per_second)


def results() -> Iterator[dict[str, Any]]:
    """One line; at least 0.97 is wanted."""
    pairs = [(images_per_second(True), images_per_second(False)) for _ in range(ROUNDS)]
    ratios = [watched / alone for watched, alone in pairs]
    low, middle, high = quantiles(ratios, n=4)
    mine, theirs = (median(side) for side in zip(*pairs, strict=True))
    yield {
        "name": "training with the live screen open", "ours": mine, "peer": theirs, "ratio": middle,
        "spread": high - low, "unit": "images/s",
    }  # fmt: skip
