"""Several runs side by side: what each holds, the settings in which they differ, one table of all. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prunetui.config.differences import differences
from prunetui.files.safe_toml import read_toml
from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.metrics import joined as joined_metrics
from prunetui.results import summary
from prunetui.results.summary import UNREADABLE, Line
from prunetui.store import Run, Status

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """A run as it was read."""

    folder: Path
    status: Status
    rows: tuple[Row, ...]
    study: Mapping[str, Any]
    trouble: str = ""
    """What is wrong with the file of results, if anything; the rows are then those of the events."""

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def metrics(self) -> Metrics:
        return self.status.metrics


@dataclass(frozen=True)
class RunLine:
    """A line of results and the run that it is of."""

    run: str
    name: str
    line: Line


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side."""

    names: tuple[str, ...] = ()
    """Of the runs that can be read."""
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Those that differ: a value for each name."""
    lines: tuple[RunLine, ...] = ()
    troubles: tuple[str, ...] = ()
    metrics: Metrics = CLASSIFICATION
    """What the first run measures, and beside it what others do."""


def read_run(run: Run, status: Status | None) -> Reading | str:
    """A run, or why it cannot be read."""
    if status is None:
        return f"{run.id} cannot be read as a run"
    try:
        found, study = run.results(), read_toml(run.study_text())
        rows = tuple(found.rows)
        summary.lines(summary.with_drop(rows, status.metrics), status.metrics)
    except (OSError, RecursionError, *UNREADABLE) as error:
        return f"{run.id} cannot be read: {error}"
    return Reading(run.folder, status, rows, study, found.trouble)


def compared(found: Sequence[Reading | str]) -> Comparison:
    """The runs that could be read, and what is wrong with the others."""
    runs = [run for run in found if isinstance(run, Reading)]
    names = names_of(runs)
    metrics = joined_metrics(run.metrics for run in runs)
    table = [
        RunLine(run.id, name, line)
        for run, name in zip(runs, names, strict=True)
        for line in lines_of(run, metrics if len(runs) > 1 else None)
    ]
    troubles = [run for run in found if isinstance(run, str)]
    troubles += [f"{name}: {run.trouble}" for name, run in zip(names, runs, strict=True) if run.trouble]
    troubles += [f"{name}: {words}" for run, name in zip(runs, names, strict=True) if (words := _without(run))]
    troubles += [
        f"{name}: its primary metric is {run.metrics.primary.title}, not {metrics.primary.title}"
        for name, run in zip(names, runs, strict=True)
        if run.metrics.primary != metrics.primary
    ]
    return Comparison(
        tuple(names),
        tuple(differences([run.study for run in runs])) if len(runs) > 1 else (),
        tuple(table),
        tuple(troubles),
        metrics,
    )


def lines_of(run: Reading, metrics: Metrics | None = None) -> list[Line]:
    """The table of a run, without the rows of a sensitivity study; of other metrics than its own for a comparison."""
    metrics = metrics or run.metrics
    return summary.lines((row for row in summary.with_drop(run.rows, metrics) if not row.get("layer")), metrics)


def _without(run: Reading) -> str:
    if any(row.get("layer") for row in run.rows):
        return "a sensitivity study has no curves; its own results show it"
    return failures(run.rows) or ("" if run.rows else "no trial is finished yet")


def names_of(runs: Sequence[Reading]) -> list[str]:
    """The names of the runs; equal ones get the end of their id."""
    names = [run.status.name or run.id for run in runs]
    return [
        f"{name} {run.id.rpartition('-')[2]}" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]


def joined(lines: Sequence[RunLine]) -> list[Line]:
    """Lines of several runs for one chart: a method that several runs have carries the name of its run."""
    owners: dict[str, set[str]] = {}
    for one in lines:
        owners.setdefault(one.line.label, set()).add(one.run)
    return [
        replace(one.line, label=f"{one.line.label} ({one.name})") if len(owners[one.line.label]) > 1 else one.line
        for one in lines
    ]


def failures(rows: Sequence[Row]) -> str:
    """The trials that failed, in words; empty when none did."""
    failed = [row for row in rows if row.get("status") == "failed"]
    if not failed:
        return ""
    first = failed[0]
    what = f"{first.get('label') or first.get('method')} {first.get('target', '')}"
    many = "1 trial failed" if len(failed) == 1 else f"{len(failed)} trials failed (filter status:failed), the first"
    return f"{many}: {what.strip()}: {first.get('error') or 'no reason was given'}"
