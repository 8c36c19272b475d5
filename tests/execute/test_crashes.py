"""A process that computes may die in any way: it costs the trial it is at, which says how, and the others go on."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import pickletools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from prunetui import events
from prunetui.config import parse_study, study_toml
from prunetui.errors import RunFailed
from prunetui.execute.execution import execute
from prunetui.execute.executor import Outcome, Prepared
from prunetui.execute.executors.processes import ProcessExecutor, WorkerProcess
from prunetui.execute.executors.workers import process_starter
from prunetui.plugins.method_catalogue import forget
from prunetui.store import Run, Status, create_run

STUDY = """
sparsities = [0.5]
methods = ["l1-unstructured", "global-unstructured", "doomed", "l1-structured", "lamp"]
[data]
name = "digits"
limit = 150
[model]
name = "resnet20"
width = 4
[train]
epochs = 1
batch_size = 32
[finetune]
epochs = 1
batch_size = 32
[measure]
recalibrate = 64
calibrate = 32
latency = false
"""
SURVIVORS = [
    "dense-1ep-s0",
    "l1-unstructured-0.5-s0",
    "global-unstructured-0.5-s0",
    "l1-structured-0.5-s0",
    "lamp-0.5-s0",
]
SEGV = "import ctypes\nctypes.string_at(0)\n"
KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
ABORT = "import os\nos.write(2, b'corrupted double-linked list\\n')\nos.abort()\n"
EXIT = "import os\nos._exit(7)\n"
RAISE_EXIT = "raise SystemExit(5)\n"


@pytest.fixture
def doomed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Install the method ``doomed`` with this body, or replace it; its marker file is there when it was called."""
    site = tmp_path / "site"
    about = site / "doomed-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: doomed\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[prunetui.methods]\ndoomed = doomed_method\n")
    monkeypatch.syspath_prepend(site)
    calls = tmp_path / "calls"

    def install(body: str) -> Path:
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        (site / "doomed_method.py").write_text(
            "from prunetui.api import Masks, Net, dataclass, keep_top, register\n\n\n"
            '@register("doomed", source="a test")\n@dataclass(frozen=True)\nclass Doomed:\n'
            '    """Dies."""\n\n    def prune(self, net: Net, sparsity: float) -> Masks:\n'
            f"        with open({str(calls)!r}, 'a') as file:\n            file.write('called\\n')\n"
            f"{lines}        scores = {{name: w.abs() for name, w in net.weights().items()}}\n"
            '        return Masks(keep_top(scores, sparsity, "global", within=net.masks))\n'
        )
        importlib.invalidate_caches()
        forget()
        return calls

    yield install
    forget()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs share what they have in common."""
    return tmp_path_factory.mktemp("runs")


def begin(root: Path, *overrides: str) -> Run:
    return create_run(root, study_toml(parse_study(STUDY, overrides)), Status(state="queued"))


def never() -> bool:
    return False


def told(run: Run, kind: type[events.Event] = events.Event) -> list[events.Event]:
    return [event for event in run.tail().read() if isinstance(event, kind)]


def rows(run: Run) -> dict[str, dict[str, str]]:
    return {row["trial"]: {k: v for k, v in row.items() if k != "seconds"} for row in run.rows()}


def test_four_of_five_methods_are_done_when_one_kills_its_process_and_it_is_resumed_once(
    doomed: Callable[[str], Path], root: Path
) -> None:
    calls = doomed(SEGV)
    run = begin(root)
    assert execute(run, "cpu", never) == 3
    found = rows(run)
    assert [name for name, row in found.items() if row["status"] == "done"] == SURVIVORS
    failed = found["doomed-0.5-s0"]
    assert (failed["status"], failed["top1"]) == ("failed", "")
    assert failed["error"].startswith(
        "its process was ended by SIGSEGV (it accessed memory that is not its own) in the step"
    )
    status = run.status()
    assert status is not None
    assert (status.state, status.done, status.failed) == ("done", 5, 1)
    assert "doomed_method.py" in (run.folder / "worker.log").read_text()  # where it was

    assert execute(run, "cpu", never) == 3  # tried once again
    assert len(calls.read_text().split()) == 2
    assert rows(run)["doomed-0.5-s0"]["status"] == "failed"


@pytest.mark.parametrize(
    ("body", "name", "code", "said"),
    [
        (KILL, "SIGKILL", -9, "by SIGKILL (killed, perhaps by the system for lack of memory"),
        (ABORT, "SIGABRT", -6, "it said: corrupted double-linked list; "),
        (EXIT, "", 7, "with exit code 7"),
    ],
    ids=["KILL", "ABRT", "exit"],
)
def test_a_trial_says_how_its_process_ended(
    doomed: Callable[[str], Path], root: Path, body: str, name: str, code: int, said: str
) -> None:
    doomed(body)
    run = begin(root, "methods=['doomed','l1-unstructured']")
    assert execute(run, "cpu", never) == 3
    found = rows(run)
    assert [row["status"] for row in found.values()] == ["done", "failed", "done"]
    failed = found["doomed-0.5-s0"]
    assert failed["error"].startswith("its process was ended ")
    assert "in the step 'prune doomed" in failed["error"]
    assert said in failed["error"]
    (death,) = told(run, events.ProcessDied)
    assert isinstance(death, events.ProcessDied)
    assert (death.trial, death.signal, death.code) == ("doomed-0.5-s0", name, code)
    if body == ABORT:
        assert "doomed_method.py" in failed["error"]


LEFT_BEHIND = "import os, signal\nos.system('sleep 60 &')\nos.kill(os.getpid(), signal.SIGKILL)\n"
COPY = "import os\nos.fork()\n"
NO_PIPE = "import os\nos.closerange(3, 200)\n"
TALK = (
    "import os\nfor i in range(2000): os.write(2, b'progress %d\\n' % i)\n"
    "os.write(2, b'free(): invalid size\\n')\nos.abort()\n"
)


def test_the_death_is_heard_though_something_that_the_process_started_lives_on(
    doomed: Callable[[str], Path], root: Path
) -> None:
    doomed(LEFT_BEHIND)
    run = begin(root, "methods=['doomed','l1-unstructured']")
    started = time.monotonic()
    assert execute(run, "cpu", never) == 3
    assert time.monotonic() - started < 55
    assert "by SIGKILL" in rows(run)["doomed-0.5-s0"]["error"]
    assert rows(run)["l1-unstructured-0.5-s0"]["status"] == "done"


def test_a_copy_that_a_method_makes_of_its_process_says_nothing(doomed: Callable[[str], Path], root: Path) -> None:
    doomed(COPY)
    run = begin(root, "methods=['doomed','l1-unstructured']")
    assert execute(run, "cpu", never) == 0
    assert {row["status"] for row in rows(run).values()} == {"done"}


def test_a_process_that_closes_its_own_pipe_fails_its_trial(doomed: Callable[[str], Path], root: Path) -> None:
    doomed(NO_PIPE)
    run = begin(root, "methods=['doomed','l1-unstructured']")
    assert execute(run, "cpu", never) == 3
    assert [row["status"] for row in rows(run).values()] == ["done", "failed", "done"]


def test_the_last_words_are_the_last(doomed: Callable[[str], Path], root: Path) -> None:
    doomed(TALK)
    run = begin(root, "methods=['doomed','l1-unstructured']")
    assert execute(run, "cpu", never) == 3
    error = rows(run)["doomed-0.5-s0"]["error"]
    assert "it said: progress 1998; progress 1999; free(): invalid size; Fatal Python error: Aborted; File " in error


@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server")
def test_a_fork_server_that_is_killed_is_started_anew(doomed: Callable[[str], Path], root: Path) -> None:
    doomed("import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(30)\n")
    run = begin(root, "methods=['doomed','l1-unstructured']")
    assert execute(run, "cpu", never) == 3
    found = rows(run)
    assert found["doomed-0.5-s0"]["error"].startswith("its process was ended with the process that started it in the")
    assert found["l1-unstructured-0.5-s0"]["status"] == "done"


def test_a_trial_keeps_its_figures_when_the_process_that_times_its_latency_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = ("measure.latency=true", "methods=['l1-structured','lamp']", "run.parallel=2", "measure.control=false")
    listen = ProcessExecutor._pass_on

    def kill_who_times(self: ProcessExecutor, worker: WorkerProcess, event: events.Event) -> None:
        if isinstance(event, events.StepStarted) and event.step == "Latency":
            os.kill(worker.process, signal.SIGKILL)
        listen(self, worker, event)

    with monkeypatch.context() as patched:
        patched.setattr(ProcessExecutor, "_pass_on", kill_who_times)
        run = begin(tmp_path, *timing)
        assert execute(run, "cpu", never) == 0
    row = rows(run)["l1-structured-0.5-s0"]
    assert (row["status"], row["latency_ms"], row["top1"] != "") == ("done", "", True)
    assert row["note"].startswith("latency was not timed: its process was ended by SIGKILL")


def test_figures_are_those_of_one_process_to_the_bit(
    doomed: Callable[[str], Path], tmp_path: Path, same: Callable[..., bool]
) -> None:
    doomed("")
    some = "methods=['doomed','l1-structured']"
    apart, here = begin(tmp_path / "apart", some), begin(tmp_path / "here", some)
    assert execute(apart, "cpu", never) == 0
    assert execute(here, "cpu", never, executor="inline") == 0
    assert rows(apart) == rows(here)
    for trial in rows(here):
        files = [run.models / f"{trial}.safetensors" for run in (apart, here)]
        assert same(*map(load_file, files))


def test_a_step_at_which_processes_died_twice_is_not_tried_a_third_time_in_one_run(
    doomed: Callable[[str], Path], root: Path
) -> None:
    """One path for all levels: each trial needs the edit at 0.2."""
    calls = doomed(SEGV)
    study = ("methods=['doomed']", "sparsities=[0.2,0.4,0.6]", "schedule='iterative'")
    run = begin(root, *study)
    assert execute(run, "cpu", never) == 3
    assert len(calls.read_text().split()) == 2
    found = rows(run)
    errors = [found[f"doomed-iterative-{level}-s0"]["error"] for level in (0.2, 0.4, 0.6)]
    assert [error.split(" ")[0] for error in errors] == ["its", "its", "not"]
    assert errors[2].startswith("not tried: processes died in the step 'prune doomed")

    assert execute(run, "cpu", never) == 3
    assert len(calls.read_text().split()) == 3  # resumed: once
    doomed("")
    assert execute(run, "cpu", never) == 0
    assert {row["status"] for row in rows(run).values()} == {"done"}


def test_a_method_that_leaves_by_an_exception_of_the_interpreter_fails_its_trial(
    doomed: Callable[[str], Path], root: Path
) -> None:
    doomed(RAISE_EXIT)
    run = begin(root, "methods=['doomed','lamp']")
    assert execute(run, "cpu", never) == 3
    assert rows(run)["doomed-0.5-s0"]["error"] == "SystemExit: 5"
    assert told(run, events.ProcessDied) == []


def test_what_a_method_prints_goes_to_the_log(
    doomed: Callable[[str], Path], root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    doomed("print('a chatty method', flush=True)")
    run = begin(root, "methods=['doomed']")
    assert execute(run, "cpu", never) == 0
    assert "a chatty method" in (run.folder / "worker.log").read_text()
    assert capfd.readouterr().out == ""


def test_no_process_imports_more_than_it_needs(
    doomed: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds of each: torch in the run's own process, torch's compiler in the one that trains."""
    outcomes: list[Outcome] = []
    receive = ProcessExecutor._receive

    def note(self: ProcessExecutor, worker: WorkerProcess) -> Iterator[Outcome]:
        for outcome in receive(self, worker):
            outcomes.append(outcome)
            yield outcome

    monkeypatch.setattr(ProcessExecutor, "_receive", note)
    doomed("import sys\nprint('compiler' if 'torch._dynamo' in sys.modules else 'no compiler', flush=True)")
    run = begin(tmp_path, "methods=['doomed']")
    assert execute(run, "cpu", never) == 0
    assert any(isinstance(event, events.EpochFinished) for event in told(run))
    assert (run.folder / "worker.log").read_text().splitlines() == ["no compiler"]
    assert any(isinstance(outcome, Prepared) for outcome in outcomes)
    sent = [pickle.dumps(outcome, protocol=2) for outcome in outcomes]
    needed = {str(arg).split(".")[0] for each in sent for op, arg, _ in pickletools.genops(each) if op.name == "GLOBAL"}
    assert "prunetui" in needed
    assert "torch" not in needed


def test_processes_that_are_started_anew_do_the_same(
    doomed: Callable[[str], Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system bears no fork."""
    monkeypatch.setattr(process_starter.platform, "system", lambda: "Darwin")
    doomed(ABORT)
    run = begin(root, "methods=['doomed','l1-unstructured']", "measure.control=false")
    assert execute(run, "cpu", never) == 3
    found = rows(run)
    assert found["l1-unstructured-0.5-s0"]["status"] == "done"
    assert "it said: corrupted double-linked list" in found["doomed-0.5-s0"]["error"]


def test_a_process_that_dies_before_it_is_ready_fails_the_run_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path, "methods=['lamp']")
    start = ProcessExecutor._start_worker

    def start_and_kill(self: ProcessExecutor, starter: process_starter.ProcessStarter) -> WorkerProcess:
        worker = start(self, starter)
        os.kill(worker.process, signal.SIGKILL)
        return worker

    monkeypatch.setattr(ProcessExecutor, "_start_worker", start_and_kill)
    with pytest.raises(RunFailed, match=r"ended by SIGKILL .* while it was getting ready"):
        execute(run, "cpu", never)
    status = run.status()
    assert status is not None
    assert (status.state, "SIGKILL" in status.message) == ("failed", True)


def test_a_run_whose_data_are_gone_fails_in_the_words_of_the_process(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "images" / split / "cat").mkdir(parents=True)
    run = begin(tmp_path, "methods=['lamp']", "data.name='folder'", f"data.root='{tmp_path / 'images'}'")
    (tmp_path / "images" / "test").rename(tmp_path / "images" / "taste")
    with pytest.raises(RunFailed, match="no folder test"):
        execute(run, "cpu", never)


def test_a_resumed_run_keeps_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums depend on how they are shared out; more processes than before must not change that.

    The batches are large enough for two threads: as large as they may be, and as many images as there are.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    large = ("train.batch_size=30000", "methods=['lamp']", "finetune.epochs=0", "measure.recalibrate=0")
    run = begin(tmp_path, *large)
    assert execute(run, "cpu", never) == 0
    (run.folder / "study.toml").write_text(run.study_text().replace("parallel = 1", "parallel = 2"))
    assert execute(run, "cpu", never) == 0
    assert json.loads((run.folder / "environment.json").read_text())["context"]["threads"] == 2
    assert [e.message for e in told(run, events.Log) if "other conditions" in e.message] == []
