"""How much accuracy one shot of a criterion leaves without any retraining: the published ResNet-20 of CIFAR-10.

    python -m benchmarks.one_shot_quality --data cifar10/ --checkpoint resnet20-12fca82f.th

An ordinary study of the product, with no epochs of recovery: first layer and classifier stay dense, sparsities are of
the other weights, and every method sees the same training images. Prints top-1 on the whole test split, of the net as
the method left it and with batch-norm statistics re-estimated on 2048 training images. The defaults of obs and obc were
chosen by the accuracy on held-out training images, which is printed too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from prunetui.config import parse_study, study_toml
from prunetui.config.write import rooted
from prunetui.errors import PrunetuiError
from prunetui.execute.execution import execute
from prunetui.store import Run, Status, create_run
from prunetui.terminal.output import aligned

METHODS: dict[str, dict[str, Any]] = {
    "magnitude": {"name": "global-unstructured"},
    "obd": {"name": "obd"},
    "obs": {"name": "obs"},
    "obc": {"name": "obc"},
    "sparsegpt": {"name": "sparsegpt"},
    "wanda": {"name": "wanda"},
    "ria": {"name": "wanda", "score": "ria"},
    "dsnot": {"name": "dsnot"},
    "dsnot, magnitude": {"name": "dsnot", "start": "magnitude"},
    **{
        f"magnitude, {budget}": {"name": "l1-unstructured", "budget": budget}
        for budget in ("uniform", "erk", "owl", "alpha")
    },
}
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9)


def study_text(
    data: Path,
    checkpoint: Path,
    images: int,
    methods: Sequence[str] = (*METHODS,),
    levels: Sequence[float] = SPARSITIES,
) -> str:
    """The study as TOML."""
    plain = {
        "name": "one-shot quality",
        "sparsities": list(levels),
        "data": {"name": "folder", "root": str(data), "normalize": "imagenet"},
        "model": {"name": "resnet20", "shortcut": "A", "checkpoint": str(checkpoint)},
        "finetune": {"epochs": 0},
        "measure": {"calibrate": images, "keep_models": False},
        "methods": [{**METHODS[label], "label": label} for label in methods],
    }
    return study_toml(rooted(parse_study(tomli_w.dumps(plain))))


def measured(text: str, runs: Path, device: str = "auto") -> list[dict[str, Any]]:
    """The rows of results of a run of the study; the run stays in ``runs``."""
    run = create_run(runs, text, Status(state="queued", name="one-shot quality"))
    execute(run, device, lambda: False)
    return _pruned(run)


def _pruned(run: Run) -> list[dict[str, Any]]:
    failed = [row for row in run.rows() if row["status"] != "done"]
    for row in failed:
        print(f"failed: {row['label']} {row['target']}: {row['error']}", file=sys.stderr)
    return [row for row in run.rows() if row["status"] == "done" and row["method"] != "dense"]


def figures(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One plain object a method and sparsity: percent, and the seconds that pruning and measuring took."""
    return [
        {
            "method": row["label"],
            "sparsity": float(row["target"].partition(":")[2]),
            "top1": float(row["top1_before_raw"]),
            "top1_reestimated": float(row["top1_before"]),
            "val_top1_reestimated": float(row["val_top1"]),
            "top1_dense": float(row["top1_dense"]),
            "seconds": float(row["seconds"]),
        }
        for row in rows
    ]


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """A line a method and way to measure, a column a sparsity."""
    levels = sorted({figure["sparsity"] for figure in found})
    lines = []
    ways = {"top1": "as pruned", "top1_reestimated": "re-estimated", "val_top1_reestimated": "validation, re-estimated"}
    for key, way in ways.items():
        for method in dict.fromkeys(figure["method"] for figure in found):
            at = {figure["sparsity"]: figure for figure in found if figure["method"] == method}
            lines.append([method, way, *(f"{at[level][key]:.2f}" if level in at else "-" for level in levels)])
    columns = ["method", "batch norm", *(f"{level:.0%}" for level in levels)]
    return aligned(columns, lines, columns[2:])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_shot_quality", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="image tree with train/ and test/")
    parser.add_argument("--checkpoint", type=Path, required=True, help="resnet20-12fca82f.th")
    parser.add_argument("--images", type=int, default=512, help="training images a method may look at (default: 512)")
    parser.add_argument("--runs", type=Path, help="folder to keep the run in (default: a temporary one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print one object a line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        text = study_text(given.data, given.checkpoint, given.images)
        found = figures(measured(text, given.runs or Path(temporary), given.device))
    if given.json:
        print("\n".join(json.dumps(figure) for figure in found))
    elif found:
        print("\n".join(table(found)))
        print(f"dense: {found[0]['top1_dense']:.2f} %; calibrated on {given.images} images")
    return 0 if len(found) == len(METHODS) * len(SPARSITIES) else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except PrunetuiError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
