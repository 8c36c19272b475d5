"""What can be told of a run whose small files are missing or damaged: its study and its events know it all."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli

from prunetui import events
from prunetui.files.regular import read_text
from prunetui.store.metrics_of_run import assumed, metrics_of
from prunetui.store.results import dense_and_best, rows_of_events
from prunetui.store.status import Status

FILES = ("status.json", "results.csv", "events.jsonl", "control.json", "environment.json", "worker.log", "lock")


def rebuilt_status(folder: Path, told: Sequence[events.Event], trouble: str) -> Status | None:
    """The status as the study and the events tell it; None where there is no study to read."""
    try:
        study = tomli.loads(read_text(folder / "study.toml"))
    except (OSError, ValueError, RecursionError):
        return None
    rows = [row for row in rows_of_events(told) if row["status"] != "skipped"]
    metrics = metrics_of(rows[0] if rows else ())
    dense, best = dense_and_best(rows, metrics)
    starts = [i for i, event in enumerate(told) if isinstance(event, events.RunStarted)]
    ends = [(i, event) for i, event in enumerate(told) if isinstance(event, events.RunFinished)]
    ended = bool(ends) and ends[-1][0] > (starts or [-1])[-1]
    state = ends[-1][1].state if ended else "running" if told else "queued"
    times = [event.time for event in told if event.time] or [0.0]
    planned = [event.trials for event in told if isinstance(event, events.Planned)]
    return Status(
        state=state,
        name=_name(study, "name"),
        data=_name(study, "data", "name"),
        model=_name(study, "model", "name"),
        methods=tuple(dict.fromkeys(row["label"] or row["method"] for row in rows if row["method"] != "dense")),
        created=times[0],
        started=times[0] if told else 0.0,
        finished=times[-1] if ended else 0.0,
        heartbeat=times[-1],
        host=socket.gethostname(),
        trials=max(0, planned[-1]) if planned else len(rows),
        done=sum(row["status"] == "done" for row in rows),
        failed=sum(row["status"] == "failed" for row in rows),
        dense=dense,
        best=best,
        message=f"status.json {trouble}; this is what the events tell{assumed(metrics)}",
        metrics=metrics,
    )


def _name(plain: Any, *path: str) -> str:
    for key in path:
        plain = plain.get(key) if isinstance(plain, dict) else None
    return plain if isinstance(plain, str) else ""


def set_aside(path: Path) -> Path:
    """Give what is in the way another name, which is returned."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    path.rename(aside)
    return aside


def set_aside_what_is_no_file(folder: Path) -> list[str]:
    """Give another name to what is not a file in the places of a run's files, or no folder in those of folders.

    Returns a line about each.
    """
    files = [folder / name for name in FILES if os.path.lexists(folder / name) and not (folder / name).is_file()]
    folders = [path for path in _folders(folder) if os.path.lexists(path) and not path.is_dir()]
    told = [f"{path.name} is not a regular file; it is now {set_aside(path).name}" for path in files]
    return told + [f"{path.name} is not a folder; it is now {set_aside(path).name}" for path in folders]


def _folders(folder: Path) -> list[Path]:
    """What must be folders: of the run, and the states that it shares with the runs beside it."""
    return [folder / "models", folder / "partial", folder.parent / ".cache"]
