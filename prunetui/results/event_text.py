"""Events in words: a line of the log that screens keep, and the shorter story that a terminal is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunetui import events
from prunetui.metrics import SECONDS, Metrics
from prunetui.results.progress import Tracker
from prunetui.results.summary import measured


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log; ``level`` is debug, info, warning or error."""

    time: float
    level: str
    text: str


def log_line(event: events.Event, metrics: Metrics) -> LogLine | None:
    """The line that an event is worth; None for what is only progress. ``metrics`` are what its run measures."""
    level, text = _level_and_text(event, metrics)
    return LogLine(event.time, level, text) if text else None


def _level_and_text(event: events.Event, metrics: Metrics) -> tuple[str, str]:
    if isinstance(event, events.RunStarted):
        return "info", f"{'resumed' if event.resumed else 'starts'} on {event.device}"
    if isinstance(event, events.Planned):
        return "info", f"{event.trials} trials, {event.done} already done, {_to_compute(event)}"
    if isinstance(event, events.StepStarted):
        return "debug", f"{event.trial}: {event.label}"
    if isinstance(event, events.EpochFinished):
        accuracy = metrics.primary.text(event.accuracy)
        return "debug", f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.4f}, {accuracy}"
    if isinstance(event, events.StepFinished) and event.cached:
        return "debug", f"{event.step.lower()} found in the cache"
    if isinstance(event, events.TrialFinished):
        level = {"done": "info", "failed": "error"}.get(event.status, "warning")
        return level, f"{event.trial}: {_result(event, metrics)}"
    if isinstance(event, events.Log):
        return event.level, event.message
    if isinstance(event, events.RunFinished):
        level = {"failed": "error", "interrupted": "warning"}.get(event.state, "info")
        return level, f"{event.state}{': ' + event.message if event.message else ''}"
    return "", ""


def narration(event: events.Event, tracker: Tracker) -> str | None:
    """The line that a terminal is told of an event, if any; ``tracker`` has been fed with it."""
    if isinstance(event, events.RunStarted):
        return f"{'resuming' if event.resumed else 'running'} {event.run} on {event.device}"
    if isinstance(event, events.Planned):
        done = f", {event.done} already done" if event.done else ""
        return f"{event.trials} trials{done}, {_to_compute(event)}"
    if isinstance(event, events.TrialFinished):
        return f"[{tracker.trials_done}/{tracker.trials}] {event.trial}: {_row_in_words(event.row)}"
    if isinstance(event, events.Log):
        return f"{event.level}: {event.message}"
    return None


def _to_compute(event: events.Planned) -> str:
    return f"{event.steps} steps to compute"


def _result(event: events.TrialFinished, metrics: Metrics) -> str:
    """What came of a trial, as far as its row says it: a log may be of a run that an older version made."""
    after, before = event.row.get(metrics.primary.key), event.row.get(metrics.before.key)
    if event.status != "done" or not isinstance(after, int | float) or not isinstance(before, int | float):
        return event.status
    return f"{metrics.primary.text(after)} (before recovery {metrics.primary.number(before)})"


def _row_in_words(row: Mapping[str, Any]) -> str:
    if row["status"] != "done":
        return str(row["status"])  # the reason was logged just before
    metrics = measured([row])
    number = metrics.primary.number
    after, before, dense = (row[metric.key] for metric in (metrics.primary, metrics.before, metrics.dense))
    return f"{metrics.primary.text(after)} (before {number(before)}, dense {number(dense)}), {row[SECONDS.key]:.1f} s"
