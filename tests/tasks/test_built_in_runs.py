"""Every built-in task from its data to results, status and report: columns and directions follow from its metric."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import pytest

from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.cli.show_run import print_run
from prunetui.config import parse_study, study_toml
from prunetui.execute.execution import execute as execute_with
from prunetui.report.gather import gather
from prunetui.report.write_report import made
from prunetui.store import Run, Status, create_run

COMMON = """
sparsities = [0.15]
train = { epochs = 1, batch_size = 32, lr = 3e-3, optimizer = "adamw" }
finetune = { epochs = 1, batch_size = 32, lr = 1e-3, optimizer = "adamw" }
measure = { latency = false, calibrate = 32, recalibrate = 64 }
"""
SEGMENTATION = """
task = { name = "segmentation" }
data = { name = "digits-on-noise", limit = 160, options = { side = 16 } }
model = { name = "unet", width = 4, options = { depth = 2 } }
methods = ["global-unstructured", { name = "l1-structured", target = "macs" }]
"""
LANGUAGE = """
task = { name = "language-modelling" }
data = { name = "system-text", options = { length = 16, megabytes = 0.01 } }
model = { name = "tiny-transformer", width = 8, options = { depth = 1, heads = 2, context = 16 } }
methods = ["taylor", { name = "group-norm", target = "macs" }]
"""
DETECTION = """
task = { name = "detection" }
data = { name = "digits-in-boxes", limit = 160, options = { side = 24, digits = 1 } }
model = { name = "tiny-detector", width = 4 }
methods = ["taylor", { name = "group-norm", target = "macs" }]
"""
REGRESSION = """
task = { name = "regression" }
data = { name = "digits", limit = 160 }
model = { name = "vit", width = 8, options = { depth = 1, heads = 2 } }
methods = ["obc", { name = "l2-structured", target = "macs", exclude = ["*.attention.*"] }]
"""
execute = partial(execute_with, executor="inline")


def done(root: Path, text: str) -> Run:
    study = parse_study(COMMON + text)
    run = create_run(root, study_toml(study), Status(state="queued", name=study.name))
    assert execute(run, "cpu", lambda: False) == 0, (run.folder / "worker.log").read_text()
    return run


@pytest.mark.parametrize(
    ("text", "primary", "direction", "others", "title"),
    [
        (SEGMENTATION, "miou", "higher", {"pixel_accuracy": (0, 100)}, "mIoU"),
        (DETECTION, "map", "higher", {"map50": (0, 100)}, "mAP"),
        (LANGUAGE, "perplexity", "lower", {"next_token": (0, 100)}, "perplexity"),
        (REGRESSION, "rmse", "lower", {"mae": (0, 10), "r2": (-100, 1)}, "RMSE"),
    ],
    ids=["segmentation", "detection", "language-modelling", "regression"],
)
def test_a_task_runs_from_its_data_to_its_report(
    text: str,
    primary: str,
    direction: str,
    others: dict[str, tuple[float, float]],
    title: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = done(tmp_path, text)
    rows = run.rows()
    assert [row["status"] for row in rows] == ["done"] * 3
    columns = {f"{primary}_before", primary, f"val_{primary}", f"{primary}_dense", f"{primary}_control", "loss"}
    assert columns | others.keys() <= rows[0].keys()
    assert not [column for column in rows[0] if "top1" in column]
    for row in rows:
        assert all(math.isfinite(float(row[column])) for column in columns)
        assert all(low <= float(row[key]) <= high for key, (low, high) in others.items())
    dense, masked, narrow = rows
    assert float(masked["sparsity"]) == pytest.approx(0.15, abs=0.01)
    assert masked["params"] == dense["params"]
    assert int(narrow["params"]) < int(dense["params"])
    assert int(narrow["macs"]) == pytest.approx(0.85 * int(dense["macs"]), rel=0.03)
    status = run.status()
    assert status is not None
    assert (status.metrics.primary.key, status.metrics.primary.direction) == (primary, direction)
    best = (max if direction == "higher" else min)(float(row[primary]) for row in rows[1:])
    assert status.best == pytest.approx(best, abs=1e-4)

    print_run(tmp_path, run.id, as_json=False)
    assert title in capsys.readouterr().out
    page = made(gather(tmp_path, [run.id]), "html").decode()
    assert f"{title} against".lower() in page.lower()

    saved = run.models / f"{narrow['trial']}.safetensors"
    evaluate_checkpoint(saved, None, None, ["data.limit=160"] if "limit" in text else [], "cpu", as_json=True)
    again = json.loads(capsys.readouterr().out)
    assert again[primary] == pytest.approx(float(narrow[primary]), rel=1e-4)
