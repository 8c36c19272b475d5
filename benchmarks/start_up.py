"""Starts a second: a command of the product as a whole process, against one that imports what it would need at once.

``tui`` measures the first frame. A list of runs is compared with one that parses every study and every table of results
to say the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._turns import Work, in_turns
from prunetui.config import parse_study, study_toml
from prunetui.store import Status, create_run

EAGER = "import torch, torchvision, sklearn.cluster, torch_pruning, textual.app, prunetui.cli.main"
NAIVE = """
import csv, json, pathlib, sys, tomli
found = []
for folder in sorted(pathlib.Path(sys.argv[1]).glob("2*")):
    study = tomli.loads((folder / "study.toml").read_text())
    rows = list(csv.DictReader((folder / "results.csv").open()))
    found.append([study["name"], len(rows), max((float(r["top1"]) for r in rows), default=0)])
print(json.dumps(found))
"""
RUNS = 500


def started(*command: str) -> Work:
    """A turn is a process from its start to its end."""

    def work() -> float:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return 1

    return work


def filled(root: Path) -> None:
    """Runs with a few rows and events each."""
    rows = [{"trial": f"t{i}", "method": "l1", "top1": 90.0 + i, "status": "done"} for i in range(9)]
    text = study_toml(parse_study("name = 'many'"))
    for _ in range(RUNS):
        run = create_run(root, text, Status(state="done", name="many", trials=9, done=9, best=98.0))
        run.write_rows(rows)


def results() -> Iterator[dict[str, Any]]:
    """``--help`` and ``runs``."""
    yield in_turns(
        "start of `prunetui --help`", partial(started, "-m", "prunetui", "--help"), partial(started, "-c", EAGER), "1/s"
    )
    with tempfile.TemporaryDirectory() as folder:
        filled(Path(folder))
        sides = partial(started, "-m", "prunetui", "runs", "--runs", folder), partial(started, "-c", NAIVE, folder)
        yield in_turns(f"`prunetui runs` of {RUNS} runs", *sides, "1/s")
