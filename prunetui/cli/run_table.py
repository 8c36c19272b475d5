"""The list of runs as text: their state, progress and figures at a glance. Torch-free."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from prunetui.metrics import CLASSIFICATION, Metric
from prunetui.store import Run, Status
from prunetui.terminal.durations import ago
from prunetui.terminal.output import aligned, console


def run_table(listed: Sequence[tuple[Run, Status | None]]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells; figures name their metric where runs have different ones."""
    primaries = {status.metrics.primary for _, status in listed if status} or {CLASSIFICATION.primary}
    what = ""
    if len(primaries) == 1:
        (metric,) = primaries
        what = f" {metric.unit or metric.title}"
    titles = ["run", "state", "trials", "model", "data", "methods", f"dense{what}", f"best{what}", "age"]
    return titles, [_run_cells(run, status, len(titles), named=not what) for run, status in listed]


def _run_cells(run: Run, status: Status | None, count: int, named: bool) -> list[str]:
    if status is None:
        return [run.id, "not a run", *[""] * (count - 2)]
    methods = ", ".join(status.methods)
    return [
        run.id,
        status.state,
        f"{status.done}/{status.trials}",
        status.model,
        status.data,
        methods if len(methods) <= 30 else f"{len(status.methods)} methods",
        _figure(status.dense, status.metrics.primary, named),
        _figure(status.best, status.metrics.primary, named),
        ago(time.time() - status.created),
    ]


def fitted_runs(columns: list[str], cells: list[list[str]]) -> list[str]:
    """The list of runs; on a narrow terminal without the methods, and then without the data."""
    right = ("trials", *columns[-3:])
    shown = aligned(columns, cells, right)
    for column in ("methods", "data"):
        if sys.stdout.isatty() and max(map(len, shown)) > console().width:
            place = columns.index(column)
            columns, cells = _but(columns, place), [_but(row, place) for row in cells]
            shown = aligned(columns, cells, right)
    return shown


def _but(cells: list[str], place: int) -> list[str]:
    return cells[:place] + cells[place + 1 :]


def _figure(value: float | None, metric: Metric, named: bool) -> str:
    if value is None:
        return "-"
    return f"{metric.text(value)} {metric.title}" if named else metric.number(value)
