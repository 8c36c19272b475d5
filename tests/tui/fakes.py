"""Run folders as a worker leaves them, written through the store, without training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from prunetui import events
from prunetui.store.run_folder import Run, Status
from prunetui.tui.widgets.chart_view import ChartView

NOW = 1_700_000_000.0
"""What the clock says in every test."""

STUDY = """name = "{name}"
kind = "compare"
seeds = [0]
sparsities = [0.5, 0.9]
[data]
name = "digits"
[model]
name = "resnet20"
[train]
epochs = {epochs}
lr = {lr}
[[methods]]
name = "l1-unstructured"
[[methods]]
name = "taylor"
scope = "global"
"""


def fake_row(method: str = "taylor", sparsity: float = 0.5, seed: int = 0, **more: Any) -> dict[str, Any]:
    """A row of results.csv of a trial that is done; better where there is more left."""
    top1 = round(92.0 - 20 * sparsity**3 - (3 if method == "taylor" else 0) + 0.5 * seed, 4)
    dense = method == "dense"
    return {
        "trial": f"dense-4ep-s{seed}" if dense else f"{method}-{sparsity:g}-s{seed}",
        "method": method,
        "label": method,
        "schedule": "one-shot",
        "seed": seed,
        "target": f"sparsity:{sparsity:g}",
        "sparsity": sparsity,
        "params": round(70_000 * (1 - sparsity)) if method == "taylor" else 70_000,
        "params_nonzero": round(70_000 * (1 - sparsity)),
        "macs": round(640_000 * (1 - sparsity / 2)),
        "top1_before": round(top1 - 30 * sparsity, 4),
        "top1_before_raw": round(top1 - 40 * sparsity, 4),
        "top1": 92.5 if dense else top1,
        "val_top1": top1 - 1,
        "top1_dense": 92.0,
        "top1_control": 92.5,
        "top5": 99.5,
        "loss": round(1 - top1 / 100, 4),
        "bytes": round(280_000 * (1 - sparsity)),
        "latency_ms": round(0.4 * (1 - sparsity / 2), 4) if method == "taylor" else None,
        "runtime": "no speed-up in this runtime" if method == "l1-unstructured" else "onnxruntime 1.20.0",
        "seconds": 1.5,
        "status": "done",
        **more,
    }


def failed_row(method: str, error: str, **more: Any) -> dict[str, Any]:
    """A row of a trial that failed: it has no figures."""
    names = ("trial", "method", "label", "schedule", "seed", "target")
    row = {name: value for name, value in fake_row(method).items() if name in names}
    return {**row, "status": "failed", "error": error, **more}


def study_rows(seeds: Sequence[int] = (0,)) -> list[dict[str, Any]]:
    """Two methods at two sparsities beside the dense network."""
    pairs = [("dense", 0.0), *((m, s) for m in ("l1-unstructured", "taylor") for s in (0.5, 0.9))]
    return [fake_row(method, sparsity, seed) for method, sparsity in pairs for seed in seeds]


def layer_rows(layers: Sequence[str] = ("conv1", "fc")) -> list[dict[str, Any]]:
    """A sensitivity study of one method."""
    return [fake_row("dense", 0.0)] + [
        fake_row("taylor", s, layer=layer, label=f"taylor {layer}", trial=f"taylor-{layer}-{s:g}", top1=91 - 9 * s)
        for layer in layers
        for s in (0.5, 0.9)
    ]


def fake_model(run: Run, trial: str, tensors: Mapping[str, Any]) -> Path:
    """A saved model of a trial: numpy arrays by name."""
    from safetensors.numpy import save_file

    path = run.models / f"{trial}.safetensors"
    save_file(dict(tensors), path)
    return path


def small_model(run: Run) -> None:
    """The dense network of two layers, and what ``taylor-0.5-s0`` has left of it: half of all filters, some zeros."""
    import numpy as np

    random = np.random.default_rng(0)
    conv, fc = random.normal(size=(8, 3, 3, 3)).astype("f4"), random.normal(size=(10, 8)).astype("f4")
    fake_model(run, "dense-4ep-s0", {"conv1.weight": conv, "bn1.weight": np.ones(8, "f4"), "fc.weight": fc})
    zeros = fc[:, :4] * (np.abs(fc[:, :4]) > 0.5)
    fake_model(run, "taylor-0.5-s0", {"conv1.weight": conv[:4], "bn1.weight": np.ones(4, "f4"), "fc.weight": zeros})


def training(trial: str, key: str = "k1", epochs: int = 3) -> list[events.Event]:
    """The events of a training."""
    told: list[events.Event] = [events.StepStarted(key, "Train", f"train {epochs} epochs", trial, 100)]
    told += [events.EpochFinished(key, i, epochs, 2.0 / i, 100 - 50.0 / i) for i in range(1, epochs + 1)]
    return [*told, events.StepFinished(key, "Train", 1.0, False, 100)]


def fake_run(
    root: Path,
    name: str,
    state: str = "done",
    rows: Sequence[Mapping[str, Any]] = (),
    told: Sequence[events.Event] = (),
    study: str = "",
    **status: Any,
) -> Run:
    """A run folder ``<root>/20240101-000000-<name>``; one that runs does so on another host, a moment ago."""
    run = Run(root / f"20240101-000000-{name.replace(' ', '-')}")
    run.models.mkdir(parents=True)
    text = study or STUDY.format(name=name, epochs=4, lr=0.1)
    (run.folder / "study.toml").write_text(text, encoding="utf-8")
    about = {
        "name": name, "data": "digits", "model": "resnet20", "methods": ("l1-unstructured", "taylor"),
        "created": NOW - 3600, "started": NOW - 3500, "device": "cpu", "trials": max(5, len(rows)),
        "done": sum(row["status"] == "done" for row in rows), "failed": sum(row["status"] == "failed" for row in rows),
    }  # fmt: skip
    if state == "running":
        about |= {"host": "elsewhere", "heartbeat": time.time(), "pid": 1}
    run.write_status(Status(state, **{**about, **status}))
    if rows:
        run.write_rows(rows)
    with run.appender() as append:
        for event in told:
            append(event)
    return run


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until everything that threads owe is on the screen."""
    for _ in range(200):
        screen = pilot.app.screen
        if getattr(screen, "results", 0) is not None and getattr(screen, "comparison", 0) is not None:
            break
        await pilot.pause(0.02)
    for _ in range(200):
        await pilot.pause(0.05)
        await pilot.app.workers.wait_for_complete()
        if not any(chart._waiting for chart in pilot.app.screen.query(ChartView)):
            break
    await pilot.pause(0.05)


async def until(pilot: Pilot[Any], reached: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is so on the screen."""
    for _ in range(round(seconds / 0.02)):
        await pilot.pause()
        if reached():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never reached within {seconds} s")
