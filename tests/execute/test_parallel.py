"""Several trials at once give what one at a time gives, compute nothing twice, and survive stops and kills."""

from __future__ import annotations

import json
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
from prunetui.execute import process_count
from prunetui.execute.execution import execute
from prunetui.execute.executors.processes import ProcessExecutor, WorkerProcess
from prunetui.execute.executors.workers.process_starter import ProcessStarter
from prunetui.results.progress import Tracker
from prunetui.store import Run, Status, create_run

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


def test_no_step_is_computed_twice(together: Run) -> None:
    computed = Counter(e.key for e in told(together) if isinstance(e, events.StepFinished) and not e.cached)
    assert max(computed.values()) == 1


def test_trials_of_one_seed_overlap_once_what_they_share_is_computed(tmp_path: Path) -> None:
    until_the_second_is_ready = "finetune.epochs=60"
    run = begin(tmp_path, "seeds=[0]", "sparsities=[0.5]", "measure.latency=false", until_the_second_is_ready)
    assert execute(run, "cpu", never) == 0
    under_way: set[str] = set()
    most = 0
    for event in told(run):
        if isinstance(event, events.StepStarted):
            under_way.add(event.key)
        elif isinstance(event, events.StepFinished):
            under_way.discard(event.key)
        most = max(most, len(under_way))
    assert most == 2


def test_models_are_kept_and_all_processes_agree_on_threads_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches large enough for two threads, however few images there are: each of two processes has one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run = begin(tmp_path, "seeds=[0]", "train.batch_size=30000", "train.epochs=1")
    assert execute(run, "cpu", never) == 0
    about = json.loads((run.folder / "environment.json").read_text())
    assert (about["context"]["threads"], about["threads"]) == (1, 1)
    assert len(list(run.models.iterdir())) == len(run.rows()) == 5
    trained = [e for e in told(run) if isinstance(e, events.StepFinished) and e.step == "Train" and not e.cached]
    assert len(trained) == 1 + 1 + 4


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
    start = ProcessExecutor._start_worker

    def start_one_to_be_killed(self: ProcessExecutor, starter: ProcessStarter) -> WorkerProcess:
        worker = start(self, starter)
        if not killed:
            killed.append("soon")
            threading.Thread(target=_kill_at_work, args=(worker, killed), daemon=True).start()
        return worker

    monkeypatch.setattr(ProcessExecutor, "_start_worker", start_one_to_be_killed)
    assert execute(run, "cpu", never) == 3
    failed = [row for row in run.rows() if row["status"] == "failed"]
    assert [row["trial"] for row in failed] == killed[1:]
    assert failed[0]["error"].startswith("its process was ended by SIGKILL (killed, perhaps by the system for lack of")
    assert sum(row["status"] == "done" for row in run.rows()) == 9


def _kill_at_work(worker: WorkerProcess, killed: list[str]) -> None:
    while not worker.trial or not worker.steps:
        time.sleep(0.01)
    killed.append(worker.trial)
    os.kill(worker.process, signal.SIGKILL)


@pytest.mark.parametrize(
    ("wanted", "device", "macs", "expected"),
    [
        (3, "cpu", 0, 3),
        ("auto", "cpu", process_count.SMALL_BATCH, 8),
        ("auto", "cuda:0", 0, process_count.PROCESSES_PER_GPU),
        ("auto", "cuda:0", process_count.SMALL_BATCH, 1),  # a large net fills the GPU by itself
    ],
)
def test_how_many_processes(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str, device: str, macs: int, expected: int
) -> None:
    machine(monkeypatch, cores=8, memory=100 * process_count.BYTES_PER_PROCESS)
    assert process_count.process_count(wanted, device, macs) == expected


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, memory: int) -> None:
    import psutil

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": memory})())


def test_auto_leaves_memory_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cores=8, memory=3 * process_count.BYTES_PER_PROCESS)
    assert process_count.process_count("auto", "cpu", 0) == 3


def test_what_a_trial_that_failed_was_at_counts_no_longer() -> None:
    tracker = Tracker()
    for event in (
        events.Planned(2, 0, 2, 200),
        events.StepStarted("a", "Train", "train 1 epoch", "one", 100),
        events.StepStarted("b", "Train", "train 1 epoch", "two", 100),
        events.Progress("a", 50, 100, 1, 1, 300.0, 0.5),
        events.TrialFinished("one", "failed", {}),
        events.Progress("b", 10, 100, 1, 1, 200.0, 0.7),
        events.TrialFinished("one", "failed", {}),
    ):
        tracker.feed(event)
    assert (tracker.images_per_second, tracker.fraction, tracker.trials_done) == (200.0, 0.05, 1)


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
