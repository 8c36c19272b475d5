"""Folders of runs as a worker leaves them, for pictures and measurements: plausible figures, nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prunetui import events
from prunetui.store import Run, Status

NOW = 1_764_000_000.0
"""What the clock says in pictures."""
SEEDS = (0, 1, 2)
LEVELS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
DENSE = 92.61

METHODS = {
    "taylor": (2.1, 6.0),
    "global-unstructured": (3.4, 8.0),
    "obs": (2.6, 9.5),
    "l1-structured": (14.0, 3.4),
    "fpgm": (17.0, 3.1),
}
"""Points that a method loses when all is removed, and how late it loses them."""

STUDY = """name = "{name}"
sparsities = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9]
seeds = [0, 1, 2]
data = {{ name = "digits" }}
model = {{ name = "resnet20", width = 8 }}
train = {{ epochs = {epochs}, lr = 0.1 }}
finetune = {{ epochs = {recovery}, lr = 0.01 }}
{methods}"""


def study(name: str, methods: Sequence[str], epochs: int = 40, recovery: int = 10) -> str:
    """A study as TOML that can be run."""
    tables = "".join(f'\n[[methods]]\nname = "{method}"\n' for method in methods)
    return STUDY.format(name=name, epochs=epochs, recovery=recovery, methods=tables)


def row(method: str, level: float, seed: int, gain: float = 0.0) -> dict[str, Any]:
    """A row of results of a trial that is done; ``gain`` is in points."""
    most, late = METHODS.get(method, (0.0, 1.0))
    noise = ((hash_of(f"{method}{level}{seed}") % 100) - 50) / 250
    top1 = round(DENSE - most * level**late + (gain + noise) * (method != "dense"), 4)
    left = 1 - level
    removed = method in ("l1-structured", "fpgm")
    return {
        "trial": f"{method}-{level:g}-s{seed}" if method != "dense" else f"dense-40ep-s{seed}",
        "method": method, "label": method, "schedule": "one-shot", "seed": seed, "target": f"sparsity:{level:g}",
        "sparsity": level, "params": round(272_474 * left) if removed else 272_474,
        "params_nonzero": round(272_474 * left), "macs": round(41_000_000 * (left if removed else 1)),
        "top1_before": round(top1 - 60 * level**2, 4), "top1_before_raw": round(top1 - 75 * level**2, 4), "top1": top1,
        "val_top1": top1 - 0.4, "top1_dense": DENSE, "top1_control": DENSE + 0.2, "top5": 99.7,
        "loss": round(1 - top1 / 100, 4), "bytes": round(1_090_000 * left),
        "macs_nonzero": round(41_000_000 * left), **_timed(removed or method == "dense", left),
        "seconds": 41.5, "status": "done",
    }  # fmt: skip


def _timed(changed: bool, left: float) -> dict[str, Any]:
    if not changed:
        return {"runtime": events.NO_SPEED_UP}
    return {
        "latency_ms": round(2.4 * left, 3), "latency_iqr_ms": 0.011, "latency128_ms": round(210 * left, 1),
        "latency128_iqr_ms": 1.4, "runtime": "onnxruntime 1.20.0",
    }  # fmt: skip


def hash_of(text: str) -> int:
    """The same number in every process."""
    return sum((i + 1) * ord(letter) * 7919 for i, letter in enumerate(text))


def rows(methods: Sequence[str], gain: float = 0.0) -> list[dict[str, Any]]:
    """The whole table of a study."""
    dense = [row("dense", 0.0, seed) for seed in SEEDS]
    return dense + [row(method, level, seed, gain) for method in methods for level in LEVELS for seed in SEEDS]


def run_of(
    root: Path,
    name: str,
    state: str = "done",
    table: Sequence[Mapping[str, Any]] = (),
    told: Sequence[events.Event] = (),
    text: str = "",
    **about: Any,
) -> Run:
    """A run folder; one that runs does so on another host, a moment ago."""
    run = Run(root / f"20251124-160000-{name.replace(' ', '-')}")
    run.models.mkdir(parents=True)
    (run.folder / "study.toml").write_text(text or study(name, ["taylor"]), encoding="utf-8")
    status = Status(
        state, name=name, data="cifar10", model="resnet20", methods=("taylor", "fpgm"), created=NOW - 3600,
        started=NOW - 3500, device="a sample GPU", trials=len(table), done=len(table), host="node7",
        heartbeat=time.time(), pid=1,
    )  # fmt: skip
    best = max((float(one["top1"]) for one in table if one["method"] != "dense"), default=None)
    run.write_status(replace(status, dense=DENSE if table else None, best=best, **about))
    if table:
        run.write_rows(table)
    lines = [events.to_json(event) for event in told]
    (run.folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return run


def story(table: Sequence[Mapping[str, Any]], trials: int, epochs: int = 40) -> Iterator[events.Event]:
    """The events of a run that has finished the trials of a table and is in the middle of the next."""
    clock = NOW - 3500
    yield events.RunStarted("", "a sample GPU", False, time=clock)
    yield events.Planned(trials, 0, 2 * trials, 1000 * trials, time=clock)
    for place, one in enumerate(table):
        clock += 40
        yield events.StepStarted(f"k{place}", "Train", "train 10 epochs", one["trial"], 1000, time=clock)
        yield events.StepFinished(f"k{place}", "Train", 38.0, False, 1000, time=clock)
        yield events.TrialFinished(one["trial"], "done", dict(one), time=clock)
    yield events.StepStarted("now", "Train", f"train {epochs} epochs", "fpgm-0.8-s1", 1000, time=clock)
    for epoch in range(1, 24):
        clock += 1
        loss, accuracy = 0.21 + 1.9 / (epoch + 0.5), 94.2 - 58 / (epoch + 0.4)
        yield events.EpochFinished("now", epoch, epochs, loss, accuracy, time=clock)
    yield events.Progress("now", 31_000, 45_000, 24, epochs, 98_200.0, 0.2961, 0.01, time=clock)
