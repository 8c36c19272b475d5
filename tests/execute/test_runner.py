"""The thread that serves the queue, the processes it starts, and how they are ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prunetui import events
from prunetui.config import parse_study
from prunetui.errors import EXIT_INTERRUPTED
from prunetui.execute import launcher
from prunetui.execute.launcher import Runner
from prunetui.execute.submit import submit
from prunetui.plan import build_plan
from prunetui.store import Run, Status, create_run
from prunetui.store.control import Control
from prunetui.store.queue import Queue

CODE = Path(__file__).resolve().parents[2]
WORKER = """
import os, socket, sys, time
from pathlib import Path
from prunetui.store import Run, Status

run = Run(Path(sys.argv[1]))
if "dies" in run.id:
    raise SystemExit("as it was told")
about = {"pid": os.getpid(), "host": socket.gethostname(), "device": sys.argv[2], "started": time.time()}
with run.locked():
    run.write_status(Status("running", **about))
    while not (run.folder / "go").exists():
        time.sleep(0.01)
    leads = os.getsid(0) == os.getpid() != os.getsid(os.getppid())
    run.write_status(Status("done", message="its own session" if leads else "", **about))
"""
"""Stands in for ``prunetui.execute``: runs until it is let go."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs whose workers are tiny."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$4" = prunetui.execute ] && exec {sys.executable} {script} "$5" "$6"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(launcher, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    return tmp_path / "runs"


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[..., Runner]]:
    """Starts runners; in the end they are closed and all that still waits is let go."""
    runners: list[Runner] = []

    def start(device: str = "cpu") -> Runner:
        runners.append(Runner(root, device))
        runners[-1].start()
        return runners[-1]

    yield start
    for one in runners:
        one.close()
    for folder in root.iterdir():
        if folder.is_dir():
            (folder / "go").touch()
    for one in runners:
        if one._child:
            one._child.wait(10)


def queued(root: Path, name: str, device: str = "") -> Run:
    run = create_run(root, "", Status("queued", name=name, device=device))
    Queue(root).add(run.id)
    return run


def state(run: Run) -> str:
    status = run.status()
    return status.state if status else "none"


def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def let_go(run: Run) -> None:
    (run.folder / "go").touch()
    until(lambda: state(run) == "done")


# The queue is served ----------------------------------------------------------------------------------


def test_runs_are_started_one_after_another_in_sessions_of_their_own(root: Path, serve: Callable[..., Runner]) -> None:
    first, second = queued(root, "first"), queued(root, "second", device="cuda:1")
    serve()
    until(lambda: state(first) == "running")
    time.sleep(0.2)
    assert (state(second), Queue(root).read()) == ("queued", ((second.id,), first.id))
    let_go(first)
    until(lambda: state(second) == "running")
    let_go(second)
    assert [run.status().message for run in (first, second)] == ["its own session"] * 2
    assert [run.status().device for run in (first, second)] == ["cpu", "cuda:1"]
    assert Queue(root).waiting == ()


def test_a_second_application_serves_only_after_the_first_and_waits_for_its_run(
    root: Path, serve: Callable[..., Runner]
) -> None:
    first, second = queued(root, "first"), queued(root, "second")
    one = serve()
    until(lambda: state(first) == "running")
    serve()
    time.sleep(0.2)
    assert state(second) == "queued"
    one.close()
    time.sleep(0.2)
    assert (state(first), state(second)) == ("running", "queued")
    let_go(first)
    until(lambda: state(second) == "running")


def test_what_dies_or_is_gone_does_not_hold_up_the_queue(root: Path, serve: Callable[..., Runner]) -> None:
    dies, last = queued(root, "dies"), queued(root, "last")
    Queue(root).add("was-deleted")
    Queue(root).move("was-deleted", -2)
    serve()
    until(lambda: state(last) == "running")
    assert state(dies) == "queued"
    assert "as it was told" in (dies.folder / "worker.log").read_text()


def test_a_process_that_cannot_be_started_does_not_end_the_thread(
    root: Path, serve: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch, failures = launcher.launch, [OSError(11, "no more processes")]

    def sometimes(run: Run, device: str) -> subprocess.Popen[bytes]:
        if failures:
            raise failures.pop()
        return launch(run, device)

    monkeypatch.setattr(launcher, "launch", sometimes)
    first, second = queued(root, "first"), queued(root, "second")
    serve()
    until(lambda: state(second) == "running")
    assert (state(first), failures) == ("failed", [])
    assert first.status().message == "its process cannot be started: no more processes"  # not lost without a word


def test_a_run_goes_on_when_the_application_closes(root: Path, serve: Callable[..., Runner]) -> None:
    run = queued(root, "first")
    one = serve()
    until(lambda: state(run) == "running")
    one.close()
    assert state(run) == "running"
    let_go(run)


def test_a_folder_that_may_not_be_written_is_served_as_soon_as_it_may(root: Path, serve: Callable[..., Runner]) -> None:
    root.write_text("in the way")
    serve()
    time.sleep(0.1)
    root.unlink()
    run = queued(root, "first")
    until(lambda: state(run) == "running")
    assert Queue(root).read() == ((), run.id)


# Ending a run -----------------------------------------------------------------------------------------

HOLD = """
import fcntl, os, subprocess, sys, time
if sys.argv[2] == "job":  # as a shell with job control does
    os.setpgid(0, 0)
subprocess.Popen(["sleep", "60"]) if sys.argv[2] == "leader" else None
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["leader", "member", "job"])
def test_kill_takes_the_whole_group_only_of_who_leads_a_session(tmp_path: Path, kind: str) -> None:
    run = create_run(tmp_path, "", Status("queued"))
    python = [sys.executable, "-c", HOLD, str(run.folder / "lock"), kind]
    shell = ["sh", "-c", '"$@" & wait; sleep 60', "sh", *python]
    child = subprocess.Popen(python if kind == "leader" else shell, stdout=subprocess.PIPE, start_new_session=True)
    try:
        pid = int(child.stdout.readline())
        run.write_status(Status("running", pid=pid, host=socket.gethostname()))
        assert launcher.kill(run) is True
        until(lambda: state(run) == "interrupted")
        if kind == "leader":
            assert child.wait(10) == -9
            until(lambda: not _lives_in(child.pid))
        else:
            time.sleep(0.1)
            assert child.poll() is None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, 9)
        child.wait()
        child.stdout.close()


def _lives_in(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(_state(pid) not in ("", "Z") and os.getpgid(pid) == group for pid in _processes())


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _state(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


@pytest.mark.parametrize(
    "status",
    [
        Status("running", pid=os.getpid(), host="elsewhere", heartbeat=time.time()),
        Status("done", pid=os.getpid(), host=socket.gethostname()),
        Status("running", pid=os.getpid(), host=socket.gethostname()),  # nobody holds its lock
    ],
    ids=["on another host", "over", "dead, its number taken by another"],
)
def test_kill_leaves_alone_what_is_not_the_run(tmp_path: Path, status: Status) -> None:
    run = create_run(tmp_path, "", status)
    assert launcher.kill(run) is False


@pytest.mark.parametrize("pid", [0, 1, 2**22 - 1])
def test_kill_of_a_process_that_is_not_there(tmp_path: Path, pid: int) -> None:
    run = create_run(tmp_path, "", Status("running", pid=pid, host=socket.gethostname()))
    with run.locked():
        assert launcher.kill(run) is False


def test_kill_of_somebody_elses_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)
    run = create_run(tmp_path, "", Status("running", pid=os.getpid(), host=socket.gethostname()))
    with run.locked():
        assert launcher.kill(run) is False


def test_stop_asks_and_ends_a_pause(tmp_path: Path) -> None:
    run = create_run(tmp_path, "", Status("running"))
    Control(run).ask(pause=True)
    launcher.stop(run)
    wishes = Control(run).read()
    assert (wishes.stop, wishes.pause) == (True, False)


# The real process -------------------------------------------------------------------------------------

STUDY = """
name = "obeys"
sparsities = [0.5, 0.8]
methods = ["global-unstructured"]
data = { limit = 600 }
model = { name = "vgg11", width = 4 }
train = { epochs = 1, batch_size = 8 }
finetune = { epochs = 1, batch_size = 8 }
measure = { latency = false }
"""


def started(run: Run) -> subprocess.Popen[bytes]:
    """The process of a run, once it listens."""
    before = sum(isinstance(event, events.RunStarted) for event in run.tail().read())
    child = launcher.launch(run, "cpu")
    heard = (events.RunStarted,)
    until(lambda: sum(isinstance(event, heard) for event in run.tail().read()) > before or child.poll() is not None, 60)
    assert child.poll() is None, (run.folder / "worker.log").read_text()
    return child


def paused(run: Run) -> int:
    """Pause it; the number of its events then."""
    Control(run).ask(pause=True)
    until(lambda: (run.status() or Status("")).message == "paused", 60)
    time.sleep(0.1)
    return len(run.tail().read())


def test_a_real_run_pauses_stops_after_its_step_is_resumed_and_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    study = parse_study(STUDY)
    last = build_plan(study).trials[-1].id
    run = submit(study, tmp_path / "runs")

    child = started(run)
    said = paused(run)
    time.sleep(0.5)
    assert len(run.tail().read()) == said
    assert state(run) == "running"
    Control(run).ask(pause=False, stop_after_step=True)
    assert child.wait(60) == EXIT_INTERRUPTED
    assert (state(run), run.status().message) == ("interrupted", "stopped between two steps")
    told = run.tail().read()
    finished = [event for event in told if isinstance(event, events.StepFinished)]
    begun = [event for event in told if isinstance(event, events.StepStarted)]
    assert {event.key for event in begun} == {event.key for event in finished}

    child = started(run)
    assert Control(run).read().stop_after_step is False  # an old wish does not stop a run that is resumed
    paused(run)
    Control(run).skip(last)
    Control(run).ask(pause=False)
    assert child.wait(60) == 0
    assert state(run) == "done"
    rows = {row["trial"]: row for row in run.rows()}
    assert (rows[last]["status"], rows[last]["error"]) == ("skipped", f"{last} was left out by hand")
    assert {row["status"] for name, row in rows.items() if name != last} == {"done"}


def test_the_process_of_a_study_with_a_mistake_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    run = create_run(tmp_path / "runs", 'nane = "x"', Status("queued"))
    assert launcher.launch(run, "cpu").wait(60) == 2
    assert state(run) == "failed"
    assert "nane" in run.status().message
