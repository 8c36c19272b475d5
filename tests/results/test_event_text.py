"""What events are in words, for the log of the app and for a terminal: the same figures in both."""

from __future__ import annotations

import pytest

from prunetui import events
from prunetui.metrics import CLASSIFICATION
from prunetui.results.event_text import log_line, narration
from prunetui.results.progress import Tracker

ROW = {"status": "done", "top1": 97.5, "top1_before": 90.25, "top1_dense": 98.0, "seconds": 2.0}


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (events.RunStarted("r", "cpu", True), "info", "resumed on cpu"),
        (events.Planned(4, 1, 9, 100), "info", "4 trials, 1 already done, 9 steps to compute"),
        (events.StepFinished("k", "Train", 1.0, True, 5), "debug", "train found in the cache"),
        (events.TrialFinished("t", "done", ROW), "info", "t: 97.50 % (before recovery 90.25)"),
        (events.TrialFinished("t", "failed", {"status": "failed"}), "error", "t: failed"),
        (events.TrialFinished("t", "done", {"status": "done"}), "info", "t: done"),
        (events.RunFinished("interrupted", "by a signal"), "warning", "interrupted: by a signal"),
    ],
)
def test_an_event_is_a_line_of_the_log(event: events.Event, level: str, text: str):
    line = log_line(event, CLASSIFICATION)
    assert line is not None
    assert (line.level, line.text) == (level, text)


def test_progress_is_no_line():
    assert log_line(events.Progress("k", 1, 2, 1, 1, 100.0), CLASSIFICATION) is None
    assert narration(events.Progress("k", 1, 2, 1, 1, 100.0), Tracker()) is None


def test_a_terminal_is_told_of_a_trial_with_its_number_and_its_time():
    tracker = Tracker()
    tracker.feed(events.Planned(4, 0, 9, 100))
    event = events.TrialFinished("t", "done", ROW)
    tracker.feed(event)
    assert narration(event, tracker) == "[1/4] t: 97.50 % (before 90.25, dense 98.00), 2.0 s"
