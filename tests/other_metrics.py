"""Runs of tasks that are not classification, as their process would leave them: written through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prunetui.metrics import Metric, Metrics
from prunetui.store import Run, Status
from prunetui.store.results import dense_and_best

PERPLEXITY = Metrics(Metric("perplexity", "perplexity", "", "lower", ".2f"))
MIOU = Metrics(Metric("miou", "mIoU", "%"), (Metric("ece", "calibration error", "", "lower", ".4f"),))
CAREFUL = {0.2: (20.0, 20.1, 20.2), 0.9: (25.0, 25.2, 25.4)}
ROUGH = {0.2: (21.0, 21.2, 21.1), 0.9: (90.0, 90.5, 91.0)}
DENSE, CONTROL = 20.0, 20.0


def row_of(metrics: Metrics, method: str, sparsity: float, seed: int, value: float, **more: Any) -> dict[str, Any]:
    """A trial whose primary metric is ``value``, and twice that before recovery training."""
    figures = dict.fromkeys(metrics.columns, 0.125)
    stages = {
        metrics.primary: value, metrics.before: 2 * value, metrics.before_raw: 3 * value, metrics.validation: value + 1,
        metrics.dense: DENSE, metrics.control: CONTROL,
    }  # fmt: skip
    return {
        "trial": f"{method}-{sparsity:g}-s{seed}", "method": method, "label": method, "schedule": "one-shot",
        "seed": seed, "target": f"sparsity:{sparsity:g}", "sparsity": sparsity, "params": 1000, "params_nonzero": 500,
        "macs": 5000, "macs_nonzero": 5000, **figures, **{metric.key: figure for metric, figure in stages.items()},
        "bytes": 4000, "seconds": 1.5, "status": "done", **more,
    }  # fmt: skip


def rows_of(metrics: Metrics, **more: Any) -> list[dict[str, Any]]:
    """The dense network and two methods at two sparsities over three seeds; figures of ``careful`` are the lower."""
    rows = [row_of(metrics, "dense", 0.0, seed, DENSE, trial=f"dense-4ep-s{seed}") for seed in range(3)]
    for method, of in (("rough", ROUGH), ("careful", CAREFUL)):
        rows += [
            row_of(metrics, method, sparsity, seed, value, **more)
            for sparsity, values in of.items()
            for seed, value in enumerate(values)
        ]
    return rows


def run_of(root: Path, name: str, metrics: Metrics, **more: Any) -> Run:
    """A finished run folder ``20240101-000000-NAME``."""
    run = Run(root / f"20240101-000000-{name}")
    run.models.mkdir(parents=True)
    (run.folder / "study.toml").write_text(f'name = "{name}"\nseeds = [0, 1, 2]\n[data]\nname = "digits"\n')
    rows = rows_of(metrics, **more)
    dense, best = dense_and_best(rows, metrics)
    about = {"name": name, "model": "net", "data": "digits", "methods": ("rough", "careful"), "created": 1.0}
    run.write_status(Status("done", trials=15, done=15, dense=dense, best=best, metrics=metrics, **about))
    run.write_rows(rows, metrics)
    return run
