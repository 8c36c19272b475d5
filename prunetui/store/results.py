"""results.csv: one row a trial. What is not such a file is not believed; the events then tell the rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunetui import events
from prunetui.metrics import CLASSIFICATION, COSTS, LOSS, OF_ANY_RUN, SECONDS, SIZE, SIZES, WORD_COLUMNS, Metrics
from prunetui.store.metrics_of_run import metrics_of

IDENTITY = ("trial", "method", "label", "schedule", "seed", "target")
TEXT = frozenset(WORD_COLUMNS) - {"seed"}
WHOLE = frozenset({"seed", *(key for key, metric in OF_ANY_RUN.items() if metric.format == SIZE)})
STATES = ("done", "failed", "skipped")
MOST = 1e18
Rows = list[dict[str, str]]


def results_columns(metrics: Metrics) -> tuple[str, ...]:
    """The columns of results.csv of a run that measures these metrics."""
    sizes, costs = (tuple(metric.key for metric in of) for of in (SIZES, COSTS))
    rest = ("runtime", SECONDS.key, "status", "error", "layer", "note")
    return (*IDENTITY, *sizes, *metrics.columns, *costs, *rest)


def needed_columns(metrics: Metrics) -> tuple[str, ...]:
    """Columns that every version has written."""
    of_task = (metrics.before, metrics.primary, metrics.validation, metrics.dense)
    return (
        *IDENTITY, "sparsity", "params", "params_nonzero", "macs", *(metric.key for metric in of_task), LOSS.key,
        "bytes", "latency_ms", SECONDS.key, "status", "error",
    )  # fmt: skip


@dataclass(frozen=True)
class Results:
    """The rows of a run as text, and what was wrong with the file, if anything."""

    rows: Rows
    trouble: str = ""


def results_text(rows: Iterable[Mapping[str, Any]], metrics: Metrics = CLASSIFICATION) -> str:
    """The file; empty cells for what a row lacks and, as in the events, for what is no finite number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, results_columns(metrics), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as it stands in the file."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return str(value).replace("\0", "\\0")


def parse_results(data: bytes, metrics: Metrics | None = None) -> Rows:
    """The rows of a file; ``metrics`` are what its run measures, if that is known otherwise than by the header.

    Raises:
        ValueError: it is something else than results, and what.
    """
    if not data:
        raise ValueError("it is empty")
    if b"\0" in data:
        raise ValueError("it holds a zero byte")
    try:
        lines = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        header, *found = [line for line in lines if line]
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"it is not CSV: {error}") from None
    if len(set(header)) < len(header):
        raise ValueError("a column stands in it twice")
    measured = metrics if metrics and metrics.primary.key in header else metrics_of(header)
    missing = [name for name in needed_columns(measured) if name not in header]
    if missing:
        raise ValueError(f"the column {missing[0]} is missing")
    rows: Rows = []
    columns = frozenset(results_columns(measured))
    for number, line in enumerate(found, 1):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, not {len(header)}")
        rows.append(dict(zip(header, line, strict=True)))
        trouble = _trouble(rows[-1], columns)
        if trouble:
            raise ValueError(f"row {number}: {trouble}")
    if len({row["trial"] for row in rows}) < len(rows):
        raise ValueError("a trial stands in it twice")
    return rows


def rows_of_events(told: Iterable[events.Event], metrics: Metrics | None = None) -> Rows:
    """The rows that the events tell, the last one of each trial; those that are no rows are left out."""
    finished = [event for event in told if isinstance(event, events.TrialFinished)]
    measured = metrics or metrics_of(dict.fromkeys(name for event in finished for name in event.row))
    columns = results_columns(measured)
    rows: dict[str, dict[str, str]] = {}
    for event in finished:
        row = {**dict.fromkeys(columns, ""), **{name: cell(value) for name, value in event.row.items()}}
        if not _trouble(row, frozenset(columns)):
            rows[row["trial"]] = row
    return list(rows.values())


def contradiction(rows: Sequence[Mapping[str, str]], told: Sequence[Mapping[str, str]]) -> str:
    """Where a file says something else than the events did; empty when it does not.

    A row may be newer than its event by the latency, which is timed later.
    """
    by_trial = {row["trial"]: row for row in told}
    for row in rows:
        other = by_trial.get(row["trial"], {})
        if row["status"] != "done" or other.get("status") != "done":
            continue
        timed_since = bool(row.get("latency_ms")) != bool(other.get("latency_ms"))
        for name, value in other.items():
            if value != row.get(name, "") and not (
                timed_since and ("latency" in name or name in ("seconds", "runtime"))
            ):
                return f"{row['trial']}: {name} is {row.get(name, '')[:20]!r}, but was {value[:20]!r}"
    return ""


def dense_and_best(rows: Iterable[Mapping[str, Any]], metrics: Metrics) -> tuple[float | None, float | None]:
    """The primary metric at a glance: the mean of the dense networks, and the best of what methods made."""
    rows, primary = list(rows), metrics.primary
    dense = _numbers(rows, metrics.dense.key)
    pruned = _numbers([row for row in rows if row["method"] != "dense"], primary.key)
    return primary.rounded(sum(dense) / len(dense)) if dense else None, primary.best(pruned)


def _numbers(rows: Iterable[Mapping[str, Any]], key: str) -> list[float]:
    """What rows have in a column, zeros included."""
    return [float(row[key]) for row in rows if row.get(key) not in (None, "")]


def _trouble(row: Mapping[str, str], columns: frozenset[str]) -> str:
    """What is wrong with a row of a file with these columns; empty when nothing is."""
    if not row["trial"] or row["status"] not in STATES:
        return "it names no trial or status"
    for name, value in row.items():
        if name not in columns or name in TEXT or not value:
            continue
        if not _is_number(value, name in WHOLE):
            return f"{name} is {value[:20]!r}, no number"
    return ""


def _is_number(text: str, whole: bool) -> bool:
    try:
        number = int(text) if whole and len(text) < 20 else float(text)
    except ValueError:
        return False
    return abs(number) <= MOST and not (whole and isinstance(number, float))
