"""The order of a run's events."""

from __future__ import annotations

from prunetui import events
from prunetui.execute.event_order import StartedFirst

WARNING = events.Log("warning", "a layer is computed safely")
STARTED = events.RunStarted("a", "cpu", False)
ENDED = events.RunFinished("failed", "no data")
READING = events.Progress("data: reading", 1, 2, 0, 0, 0.0)
LATER = events.Log("info", "paused")


def test_what_is_said_before_the_start_follows_it() -> None:
    told: list[events.Event] = []
    emit = StartedFirst(told.append)
    for event in (WARNING, READING, STARTED, LATER):
        emit(event)
    assert told == [READING, STARTED, WARNING, LATER]


def test_what_is_said_before_a_failure_to_start_is_told() -> None:
    told: list[events.Event] = []
    emit = StartedFirst(told.append)
    for event in (WARNING, ENDED):
        emit(event)
    assert told == [WARNING, ENDED]
