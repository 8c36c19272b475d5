"""All that a report tells of its runs, read once: what was asked, what came out, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetui.config.differences import differences
from prunetui.errors import DataError
from prunetui.metrics import Metric, Metrics
from prunetui.metrics import joined as joined_metrics
from prunetui.report.verdicts import Reach, Verdict, dense_again, reaches, verdicts
from prunetui.results.comparison import Reading, RunLine, joined, lines_of, names_of, read_run
from prunetui.results.summary import Line, Row, Sensitivity, dense_level, lines, sensitivities
from prunetui.store import find_run
from prunetui.store.environment import read_environment


@dataclass(frozen=True)
class ReportedRun:
    """One run of a report."""

    name: str
    reading: Reading
    environment: Mapping[str, Any]
    lines: tuple[Line, ...]
    sensitivities: tuple[Sensitivity, ...]

    @property
    def failed(self) -> list[Row]:
        """The rows of the trials that failed."""
        return [row for row in self.reading.rows if row.get("status") == "failed"]

    @property
    def primary(self) -> Metric:
        """What its methods are compared by."""
        return self.reading.metrics.primary

    @property
    def dense(self) -> float | None:
        """The primary metric of the dense network over all seeds."""
        return dense_level(self.lines or lines(self.reading.rows, self.reading.metrics))

    @property
    def trouble(self) -> str:
        """Why there is less to see than was asked for; empty when all is there."""
        status = self.reading.status
        over = f"{status.done} of {status.trials} trials are done"
        said = {
            "running": f"it still runs: {over}",
            "queued": "it has not begun",
            "interrupted": f"it was interrupted: {over}; `prunetui --batch --resume {self.reading.id}` goes on with it",
            "died": f"it died: {status.message}; {over}; `prunetui --batch --resume {self.reading.id}` goes on with it",
            "failed": f"it failed: {status.message or 'worker.log in its folder tells why'}",
        }.get(status.state, "")
        if not said and not self.sensitivities and not any(line.of for line in self.lines if line.method != "dense"):
            return "no trial of a method was done"
        return said


@dataclass(frozen=True)
class Material:
    """What a report is made of."""

    parts: tuple[ReportedRun, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    """(setting, its value in each run) of those that differ; empty of one run."""
    run_lines: tuple[RunLine, ...]
    lines: tuple[Line, ...]
    """Of all runs, for one chart: labels that several runs have carry the name of theirs."""
    verdicts: tuple[tuple[str, tuple[Verdict, ...]], ...]
    """(of what, verdicts): over all runs at once, or run by run where their data differ."""
    troubles: tuple[str, ...]

    @property
    def title(self) -> str:
        return " and ".join(part.name for part in self.parts) if len(self.parts) < 3 else f"{len(self.parts)} runs"

    @property
    def metrics(self) -> Metrics:
        """What the first run measures, and beside it what others do."""
        return joined_metrics(part.reading.metrics for part in self.parts)

    @property
    def one_data(self) -> bool:
        """Whether figures are of the same task."""
        return len(self.verdicts) == 1

    @property
    def why_apart(self) -> str:
        """Why the runs are not compared with each other; empty where they are."""
        if self.one_data:
            return ""
        if len({part.primary for part in self.parts}) > 1:
            return "The runs have different primary metrics: each is judged on its own."
        return (
            "The runs are of different data: each is judged on its own, for accuracies on different images cannot be "
            "compared."
        )

    def reaches(self) -> list[Reach]:
        """How far each method goes within a point of its control."""
        return reaches(self.lines)


def gather(root: Path, given: Sequence[str]) -> Material:
    """Read the runs; one that cannot be read is told among the troubles.

    Raises:
        UsageError: there is no such run.
        DataError: none of them can be read.
    """
    runs = {run.folder.resolve(): run for run in (find_run(root, name) for name in given)}.values()
    found = [read_run(run, run.status()) for run in runs]
    readings = [one for one in found if isinstance(one, Reading)]
    unreadable = [one for one in found if isinstance(one, str)]
    if not readings:
        raise DataError("; ".join(unreadable))
    return material(readings, unreadable)


def material(readings: Sequence[Reading], unreadable: Iterable[str] = ()) -> Material:
    """The same of runs that were read."""
    parts = tuple(_part(name, one) for name, one in zip(names_of(readings), readings, strict=True))
    table = tuple(RunLine(part.reading.id, part.name, line) for part in parts for line in part.lines)
    together = tuple(joined(table))
    settings = tuple(differences([one.study for one in readings])) if len(readings) > 1 else ()
    apart = any(name.startswith("data.") for name, _ in settings) or len({part.primary for part in parts}) > 1
    told = [(part.name, part.lines) for part in parts] if apart else [("", together)]
    return Material(
        parts,
        settings,
        table,
        together,
        tuple((name, tuple(verdicts(of))) for name, of in told),
        (
            *unreadable,
            *(f"{part.name}: {part.reading.trouble}" for part in parts if part.reading.trouble),
            *(f"{part.name}: {part.trouble}" for part in parts if part.trouble),
            *(
                f"{name} is dense again at its end, and not compared with pruned networks"
                for name in dense_again(together)
            ),
        ),
    )


def _part(name: str, reading: Reading) -> ReportedRun:
    layers = tuple(sensitivities(reading.rows, metrics=reading.metrics))
    return ReportedRun(name, reading, read_environment(reading.folder) or {}, tuple(lines_of(reading)), layers)
