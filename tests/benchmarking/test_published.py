"""Our accuracy drop beside published ones: python -m benchmarks.published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import published
from prunetui.config import load_study
from prunetui.config.write import study_toml
from prunetui.errors import UsageError
from prunetui.execute.execution import execute
from prunetui.store import Run, Status, create_run

SMALL = ("data.name=digits", "data.limit=200", "model.width=4", "train.epochs=2", "schedule.epoch=1")


def row(target: float, seed: int, top1: float, dense: float, method: str = "global-unstructured") -> dict[str, Any]:
    return {
        "trial": f"{method}-{target}-s{seed}", "method": method, "label": method, "schedule": "lottery-ticket",
        "seed": seed, "target": f"sparsity:{target}", "status": "done", "top1": top1, "top1_dense": dense,
    }  # fmt: skip


def a_run(folder: Path, *overrides: str) -> Run:
    return create_run(folder, study_toml(load_study("imp-rewinding", overrides)), Status(state="queued"))


def test_each_published_sparsity_is_a_row_with_both_drops():
    rows = [
        row(0, 0, 90.0, 90.0, "dense"),
        row(0.67232, 0, 89.0, 90.0),
        row(0.67232, 1, 90.0, 92.0),
        row(0.8, 0, 85.0, 90.0),
    ]
    assert published.table(rows, published.PUBLISHED["resnet20"]) == [
        ["67.2%", "91.67 ±0.40", "92.01", "-0.34", "91.00 ±1.41", "89.50 ±0.71", "1.50 ±0.71", "2"]
    ]


def test_a_network_without_published_figures_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="nothing published is kept here for resnet56; there is for: resnet20, vgg16"):
        published.published_for(a_run(tmp_path, "model.name=resnet56"))


def test_a_run_that_has_not_got_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = a_run(tmp_path)
    monkeypatch.setattr("sys.argv", ["published", run.id, "--runs", str(tmp_path)])
    with pytest.raises(UsageError, match="no finished trial at a published sparsity"):
        published.main()


def test_the_preset_run_small_is_printed_beside_the_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = a_run(tmp_path, *SMALL, "seeds=[0, 1, 2]")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    monkeypatch.setattr("sys.argv", ["published", "last", "--runs", str(tmp_path)])
    assert published.main() == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == " ".join(published.COLUMNS).split()
    assert [line.split()[0] for line in lines] == ["67.2%", "89.3%", "96.5%", "98.8%"]
    assert all(line.count("±") >= 3 and line.endswith("  3") for line in lines)
