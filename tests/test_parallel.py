"""Several trials at once give what one at a time gives, compute nothing twice, and survive stops and kills."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from prunetui import events
from prunetui.config import parse_study, study_toml
from prunetui.progress import Tracker
from prunetui.store import Run, Status, create_run
from prunetui.worker import crew, execute

STUDY = """
seeds = [0, 1]
sparsities = [0.5, 0.8]
methods = ["global-unstructured", "l1-structured"]
[data]
name = "digits"
limit = 150
[model]
name = "resnet20"
width = 4
[train]
epochs = 2
batch_size = 32
[finetune]
epochs = 1
batch_size = 32
[measure]
recalibrate = 64
calibrate = 32
[run]
parallel = 2
"""


def begin(root: Path, *overrides: str) -> Run:
    return create_run(root, study_toml(parse_study(STUDY, overrides)), Status(state="queued"))


def never() -> bool:
    return False


def told(run: Run) -> list[events.Event]:
    return list(run.tail().read())


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = begin(tmp_path_factory.mktemp("together"))
    assert execute(run, "cpu", never) == 0
    return run


def test_the_rows_are_those_of_one_at_a_time_but_for_what_a_clock_decides(together: Run, tmp_path: Path) -> None:
    alone = begin(tmp_path, "run.parallel=1")
    assert execute(alone, "cpu", never) == 0
    clock = ("seconds", "latency")
    rows = [
        [{name: value for name, value in row.items() if not name.startswith(clock)} for row in run.rows()]
        for run in (together, alone)
    ]
    assert len(rows[0]) == 2 * (1 + 2 * 2)
    assert rows[0] == rows[1]


def test_no_step_is_computed_twice_and_trials_overlap(together: Run) -> None:
    computed = Counter(e.key for e in told(together) if isinstance(e, events.StepFinished) and not e.cached)
    assert max(computed.values()) == 1
    kinds = [e.kind for e in told(together) if isinstance(e, events.StepStarted | events.StepFinished)]
    assert any(kinds[i] == kinds[i + 1] == "step_started" for i in range(len(kinds) - 1))


def test_latency_is_timed_when_all_else_is_done(together: Run) -> None:
    assert [bool(row["latency_ms"]) for row in together.rows()] == [
        row["method"] != "global-unstructured" for row in together.rows()
    ]
    steps = [e.step for e in told(together) if isinstance(e, events.StepFinished) and not e.cached]
    first = steps.index("Latency")
    assert set(steps[first:]) == {"Latency"}


def test_a_stop_is_heard_by_all_and_the_run_goes_on_from_there(tmp_path: Path) -> None:
    run = begin(tmp_path)
    finished = threading.Event()
    watching = threading.Thread(target=lambda: _wait(lambda: len(run.rows()) >= 1, finished), daemon=True)
    watching.start()
    assert execute(run, "cpu", finished.is_set) == 130
    status = run.status()
    assert status is not None
    assert status.state == "interrupted"
    assert 1 <= len(run.rows()) < 10
    assert execute(run, "cpu", never) == 0
    assert [row["status"] for row in run.rows()] == ["done"] * 10


def _wait(seen: Callable[[], bool], then: threading.Event) -> None:
    while not seen():
        time.sleep(0.02)
    then.set()


def test_a_killed_process_fails_its_trial_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path)
    killed: list[str] = []
    hire = crew.Crew._hire

    def hire_one_to_be_killed(self: crew.Crew) -> crew._Hand:
        hand = hire(self)
        if not killed:
            killed.append("soon")
            threading.Thread(target=_kill_at_work, args=(hand, killed), daemon=True).start()
        return hand

    monkeypatch.setattr(crew.Crew, "_hire", hire_one_to_be_killed)
    assert execute(run, "cpu", never) == 3
    failed = [row for row in run.rows() if row["status"] == "failed"]
    assert [row["trial"] for row in failed] == killed[1:]
    assert failed[0]["error"].startswith("its process ended with code -9, perhaps for lack of memory")
    assert sum(row["status"] == "done" for row in run.rows()) == 9


def _kill_at_work(hand: crew._Hand, killed: list[str]) -> None:
    while hand.trial is None or not hand.process.pid:
        time.sleep(0.01)
    time.sleep(0.5)
    killed.append(hand.trial.id)
    os.kill(hand.process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("wanted", "device", "macs", "trials", "expected"),
    [
        (3, "cpu", 0, 10, 3),
        (3, "cpu", 0, 2, 2),  # no more than there are trials
        ("auto", "cpu", 0, 1, 1),
        ("auto", "cuda:0", crew.SMALL_BATCH, 10, 1),  # a large net fills the GPU by itself
        ("auto", "cpu", 0, 0, 1),
    ],
)
def test_how_many_processes(wanted: int | str, device: str, macs: int, trials: int, expected: int) -> None:
    assert crew.processes(wanted, device, macs, trials) == expected


def test_auto_leaves_memory_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3 * crew.BYTES_EACH})())
    assert crew.processes("auto", "cpu", 0, 100) == 3


def test_progress_of_two_steps_at_once_adds_up() -> None:
    tracker = Tracker()
    for event in (
        events.Planned(2, 0, 2, 200),
        events.StepStarted("a", "Train", "train 1 epoch", "one", 100),
        events.StepStarted("b", "Train", "train 2 epochs", "two", 100),
        events.Progress("a", 50, 100, 1, 1, 300.0, 0.5),
        events.Progress("b", 10, 100, 1, 2, 200.0, 0.7),
        events.Progress("a", 60, 100, 1, 1, 310.0, 0.4),
    ):
        tracker.feed(event)
    assert tracker.fraction == pytest.approx((60 + 10) / 200)
    assert (tracker.step, tracker.trial, tracker.images_per_second) == ("train 1 epoch", "one", 510.0)
    tracker.feed(events.StepFinished("a", "Train", 1.0, False, 100, None))
    assert tracker.fraction == pytest.approx((100 + 10) / 200)
