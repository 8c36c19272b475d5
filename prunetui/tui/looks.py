"""What the screens of results look at: one run, or several, as tables that are computed by the feed's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prunetui import report
from prunetui.report import Line, Sensitivity
from prunetui.store import Run, Status
from prunetui.tui.axes import Y_AXES
from prunetui.tui.differences import differences
from prunetui.tui.feed import UNREADABLE, RunLook
from prunetui.tui.views import RunView

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """A run with its tables; ``layers`` has those of a sensitivity study by figure."""

    view: RunView
    lines: tuple[Line, ...] = ()
    layers: Mapping[str, Sequence[Sensitivity]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def is_sensitivity(self) -> bool:
        return any(self.layers.values())

    def why_empty(self) -> str:
        """Why there is no chart."""
        status, rows = self.view.status, self.view.rows
        if status is None:
            return f"{self.view.folder} cannot be read as a run."
        if any(row.get("status") == "done" for row in rows):
            return "Only the dense network is measured so far."
        if self.view.state == "failed" or rows:
            reason = status.message or next((str(row["error"]) for row in rows if row.get("error")), "")
            return f"No trial succeeded: {reason or 'worker.log in the folder of the run tells why'}."
        if self.view.state == "interrupted":
            return "The run was interrupted before a trial was finished; r in the list of runs resumes it."
        return "No trial is finished yet; the first one draws the chart."


def failures(rows: Sequence[Row]) -> str:
    """The trials that failed, in words; empty when none did."""
    failed = [row for row in rows if row.get("status") == "failed"]
    if not failed:
        return ""
    first = failed[0]
    what = f"{first.get('label') or first.get('method')} {first.get('target', '')}"
    many = "1 trial failed" if len(failed) == 1 else f"{len(failed)} trials failed (filter status:failed), the first"
    return f"{many}: {what.strip()}: {first.get('error') or 'no reason was given'}"


class ResultsLook:
    """One run; its tables are made anew when its rows are others."""

    def __init__(self, run: Run) -> None:
        self._look = RunLook(run)
        self._last: Results | None = None

    def __call__(self) -> Results:
        view, last = self._look(), self._last
        if last is None or view.rows is not last.view.rows:
            self._last = _tables(view)
        elif view is not last.view:
            self._last = replace(last, view=view)
        assert self._last is not None
        return self._last


def _tables(view: RunView) -> Results:
    try:
        rows = report.with_drop(view.rows)
        lines = tuple(report.lines(row for row in rows if not row.get("layer")))
        layers = {axis.key: report.sensitivities(rows, axis.key) for axis in Y_AXES}
    except UNREADABLE as error:
        return Results(view, trouble=f"results.csv cannot be read: {type(error).__name__}: {error}")
    return Results(view, lines, layers)


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


@dataclass(frozen=True)
class _Read:
    id: str
    status: Status
    rows: tuple[Row, ...]
    study: Mapping[str, Any]


class CompareLook:
    """Several runs; a file is read again when it has changed."""

    def __init__(self, root: Path, runs: Sequence[str]) -> None:
        self._runs = [Run(root / run) for run in runs]
        self._seen: dict[str, tuple[Any, _Read | str]] = {}
        self._last = Comparison()

    def __call__(self) -> Comparison:
        before = {run: seen for run, (seen, _) in self._seen.items()}
        found = [self._read(run) for run in self._runs]
        if before != {run: seen for run, (seen, _) in self._seen.items()}:
            self._last = compared(found)
        return self._last

    def _read(self, run: Run) -> _Read | str:
        status, changed = run.status(), _changed(run.folder / "results.csv")
        seen = (replace(status, heartbeat=0.0) if status else None, changed)
        if run.id not in self._seen or self._seen[run.id][0] != seen:
            self._seen[run.id] = seen, _read(run, status)
        return self._seen[run.id][1]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(run: Run, status: Status | None) -> _Read | str:
    import tomli

    if status is None:
        return f"{run.id} cannot be read as a run"
    try:
        rows, study = tuple(run.rows()), tomli.loads(run.study_text())
        report.lines(report.with_drop(rows))
    except (OSError, *UNREADABLE) as error:
        return f"{run.id} cannot be read: {error}"
    return _Read(run.id, status, rows, study)


def compared(found: Sequence[_Read | str]) -> Comparison:
    """The runs that could be read, and what is wrong with the others."""
    runs = [run for run in found if isinstance(run, _Read)]
    names = _names(runs)
    table = [RunLine(run.id, name, line) for run, name in zip(runs, names, strict=True) for line in _lines(run)]
    troubles = [run for run in found if isinstance(run, str)]
    troubles += [f"{name}: {words}" for run, name in zip(runs, names, strict=True) if (words := _without(run))]
    return Comparison(
        tuple(names),
        tuple(differences([run.study for run in runs])) if len(runs) > 1 else (),
        tuple(table),
        tuple(troubles),
    )


def _lines(run: _Read) -> list[Line]:
    return report.lines(row for row in report.with_drop(run.rows) if not row.get("layer"))


def _without(run: _Read) -> str:
    if any(row.get("layer") for row in run.rows):
        return "a sensitivity study has no curves; its own results show it"
    return failures(run.rows) or ("" if run.rows else "no trial is finished yet")


def _names(runs: Sequence[_Read]) -> list[str]:
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
