"""Events in words, for the log of a run."""

from __future__ import annotations

from prunetui import events
from prunetui.metrics import Metrics
from prunetui.tui.views import LogLine


def told(event: events.Event, metrics: Metrics) -> LogLine | None:
    """The line an event is worth; None for what is only progress. ``metrics`` are what its run measures."""
    level, text = _words(event, metrics)
    return LogLine(event.time, level, text) if text else None


def _words(event: events.Event, metrics: Metrics) -> tuple[str, str]:
    if isinstance(event, events.RunStarted):
        return "info", f"{'resumed' if event.resumed else 'starts'} on {event.device}"
    if isinstance(event, events.Planned):
        return "info", f"{event.trials} trials, {event.done} already done, {event.steps} steps to compute"
    if isinstance(event, events.StepStarted):
        return "debug", f"{event.trial}: {event.label}"
    if isinstance(event, events.EpochFinished):
        return (
            "debug",
            f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.4f}, {metrics.primary.text(event.accuracy)}",
        )
    if isinstance(event, events.StepFinished) and event.cached:
        return "debug", f"{event.step.lower()} found in the cache"
    if isinstance(event, events.TrialFinished):
        return _trial(event, metrics)
    if isinstance(event, events.Log):
        return event.level, event.message
    if isinstance(event, events.RunFinished):
        level = {"failed": "error", "interrupted": "warning"}.get(event.state, "info")
        return level, f"{event.state}{': ' + event.message if event.message else ''}"
    return "", ""


def _trial(event: events.TrialFinished, metrics: Metrics) -> tuple[str, str]:
    if event.status != "done":
        return ("error" if event.status == "failed" else "warning"), f"{event.trial}: {event.status}"
    metric = metrics.primary
    after, before = event.row.get(metric.key), event.row.get(metrics.before.key)
    shown = "done"
    if isinstance(after, int | float) and isinstance(before, int | float):
        shown = f"{metric.text(after)} (before recovery {metric.number(before)})"
    return "info", f"{event.trial}: {shown}"
