"""Mutated model files: each is opened or refused in words; no traceback, no hang, no code, nothing printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).parents[1] / "mutated_files.py"


def outcomes(kind: str, seed: int, count: int, folder: Path) -> dict[str, int]:
    """In a process of its own, whose audit hook ends it at once where a file makes it run code or write."""
    command = [sys.executable, str(CHILD), kind, str(seed), str(count), str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env, cwd=folder, check=False)
    assert done.returncode == 0, f"{done.stderr[-4000:]}\nthe file: {folder}/case.{kind}, of seed {seed}"
    assert done.stderr == ""
    assert [path.name for path in folder.iterdir()] == [f"case.{kind}"]
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["pt2", "onnx", "safetensors"])
def test_a_mutated_file_is_opened_or_refused(kind: str, tmp_path: Path) -> None:
    found = outcomes(kind, 1, 60, tmp_path)
    assert found["opened"] + found["refused"] == 60
    assert found["refused"] > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["pt2", "onnx", "safetensors"])
def test_five_thousand_mutated_files_are_opened_or_refused(kind: str, tmp_path: Path) -> None:
    assert sum(outcomes(kind, 2, 5000, tmp_path).values()) == 5000


def test_the_hook_sees_code_that_torch_would_run(tmp_path: Path) -> None:
    script = (
        "import sys, os; from pathlib import Path; import mutated_files as m, hostile_pt2 as h\n"
        "from prunetui.engine.loading import load_exported\n"
        "folder = Path(sys.argv[1]); m.no_code(folder); path = folder / 'case.pt2'\n"
        "path.write_bytes(h.pickled_inputs(h.tiny()[1], folder.parent / 'marker'))\n"
        "load_exported(path, trust=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHILD.parent)}
    (tmp_path / "in").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "in")], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 99
    assert "forbidden: " in done.stderr
    assert not (tmp_path / "marker").exists()
