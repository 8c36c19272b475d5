"""results.csv: one row a trial. What is not such a file is not believed; the events then tell the rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunetui import events

COLUMNS = (
    "trial", "method", "label", "schedule", "seed", "target", "sparsity", "params", "params_nonzero", "macs",
    "macs_nonzero", "top1_before", "top1_before_raw", "top1", "val_top1", "top1_dense", "top1_control", "top5", "loss",
    "bytes", "latency_ms", "latency_iqr_ms", "latency128_ms", "latency128_iqr_ms", "latency_cuda_ms",
    "latency_cuda_iqr_ms", "latency128_cuda_ms", "latency128_cuda_iqr_ms", "runtime", "seconds", "status", "error",
    "layer", "note",
)  # fmt: skip
TEXT = ("trial", "method", "label", "schedule", "target", "runtime", "status", "error", "layer", "note")
NEEDED = (
    "trial", "method", "label", "schedule", "seed", "target", "sparsity", "params", "params_nonzero", "macs",
    "top1_before", "top1", "val_top1", "top1_dense", "loss", "bytes", "latency_ms", "seconds", "status", "error",
)  # fmt: skip
"""Columns that every version has written."""
WHOLE = ("seed", "params", "params_nonzero", "macs", "macs_nonzero", "bytes")
STATES = ("done", "failed", "skipped")
MOST = 1e18
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Results:
    """The rows of a run as text, and what was wrong with the file, if anything."""

    rows: Rows
    trouble: str = ""


def results_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """The file; empty cells for what a row lacks and, as in the events, for what is no finite number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as it stands in the file."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return str(value).replace("\0", "\\0")


def parse_results(data: bytes) -> Rows:
    """The rows of a file.

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
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise ValueError(f"the column {missing[0]} is missing")
    rows = []
    for number, line in enumerate(found, 1):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, not {len(header)}")
        rows.append(dict(zip(header, line, strict=True)))
        trouble = _trouble(rows[-1])
        if trouble:
            raise ValueError(f"row {number}: {trouble}")
    if len({row["trial"] for row in rows}) < len(rows):
        raise ValueError("a trial stands in it twice")
    return rows


def rows_of_events(told: Iterable[events.Event]) -> Rows:
    """The rows that the events tell, the last one of each trial; those that are no rows are left out."""
    rows: dict[str, dict[str, str]] = {}
    for event in told:
        if not isinstance(event, events.TrialFinished):
            continue
        row = {**dict.fromkeys(COLUMNS, ""), **{name: cell(value) for name, value in event.row.items()}}
        if not _trouble(row):
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


def _trouble(row: Mapping[str, str]) -> str:
    """What is wrong with a row; empty when nothing is."""
    if not row["trial"] or row["status"] not in STATES:
        return "it names no trial or status"
    for name, value in row.items():
        if name not in COLUMNS or name in TEXT or not value:
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
