"""A report for programs: rows of all runs as CSV, or everything as one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prunetui.report import sentences
from prunetui.report.gather import Material, ReportedRun
from prunetui.report.paired import NAME, PairedTest
from prunetui.report.verdicts import Verdict, by_seed, contested
from prunetui.results.summary import Line
from prunetui.results.text_tables import table_csv
from prunetui.store.results import results_columns
from prunetui.store.status import status_plain


def csv_rows(material: Material) -> str:
    """The rows of results.csv of all runs, the id of the run in front."""
    rows = [{"run": part.reading.id, **row} for part in material.parts for row in part.reading.rows]
    return table_csv(rows, ("run", *results_columns(material.metrics)))


def plain(material: Material) -> dict[str, Any]:
    """Runs, settings that differ, lines (mean, spread, primary metric by seed), tests and sentences, ready for JSON."""
    return {
        "runs": [_run(part) for part in material.parts],
        "differences": [{"setting": name, "values": list(values)} for name, values in material.settings],
        "lines": [_line(line, one.run) for line, one in zip(material.lines, material.run_lines, strict=True)],
        "tests": [
            _test(name, verdict, test) for name, of in material.verdicts for verdict in of for test in verdict.tests
        ],
        "sentences": _sentences(material),
        "troubles": list(material.troubles),
    }


def _run(part: ReportedRun) -> dict[str, Any]:
    return {
        "id": part.reading.id,
        "name": part.name,
        "path": str(part.reading.folder.resolve()),
        "status": status_plain(part.reading.status),
        "study": part.reading.study,
        "environment": dict(part.environment),
        "sensitivities": [
            {**asdict(one), "figures": {target: asdict(figure) for target, figure in one.figures.items()}}
            for one in part.sensitivities
        ],
    }


def _line(line: Line, run: str) -> dict[str, Any]:
    return {
        "run": run,
        "label": line.label,
        "method": line.method,
        "schedule": line.schedule,
        "target": line.target,
        "seeds": line.seeds,
        "failed": line.failed,
        "error": line.error,
        "figures": {name: asdict(figure) for name, figure in line.figures.items()},
        f"{line.metrics.primary.key}_by_seed": by_seed(line),
    }


def _test(of: str, verdict: Verdict, test: PairedTest) -> Mapping[str, Any]:
    about = {"name": NAME, "correction": "Holm", "of": of or "all runs", "target": verdict.target}
    found = {name: value for name, value in asdict(test).items() if name != "metric"}
    return {**about, **found, "exceeds": test.exceeds}


def _sentences(material: Material) -> list[str]:
    found: list[str] = []
    for _, of in material.verdicts:
        found += sentences.summary(of)
        found += [f"{sentences.target_words(one.target)}: {sentences.verdict_words(one)}" for one in contested(of)]
        found += sentences.alone_words(of)
    return [*found, *sentences.reach_words(material.reaches())]
