"""Runs on disk: whole files or none, one executor a run, and readers that nothing on the disk can break."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import prunetui
from prunetui import events
from prunetui.errors import EXIT_USAGE, RunFailed, UsageError
from prunetui.events import Log, RunFinished
from prunetui.files.atomic import write_atomic
from prunetui.metrics import CLASSIFICATION
from prunetui.store import Cache, Run, Status, create_run, find_run, list_runs
from prunetui.store.results import dense_and_best
from prunetui.store.run_folder import Appender, Tail

ROOT = Path(prunetui.__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
HERE = socket.gethostname()

CONTRACT = """
trial, method, schedule, seed, target, sparsity, params, params_nonzero, macs, top1_before, top1, val_top1,
top1_dense, loss, bytes, latency_ms, seconds, status, error
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in another process."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@contextmanager
def executor(run: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that executes the run: it holds the lock until it ends."""
    code = (
        "import sys; from pathlib import Path; from prunetui.store import Run\n"
        "with Run(Path(sys.argv[1])).locked(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.folder)],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", 'name = "lab"\n', Status(state="queued", name="lab"))


def running(process_id: int = 1, **changes: object) -> Status:
    return Status(**{"state": "running", "pid": process_id, "host": HERE, "heartbeat": time.time(), **changes})


# Whole files ------------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    file = tmp_path / "status.json"
    write_atomic(file, "old")
    write_atomic(file, b"new \xff")
    assert file.read_bytes() == b"new \xff"
    assert names_in(tmp_path) == ["status.json"]


FULL_DISK = """
import errno, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a file beyond 1000 bytes cannot be written
"""


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    file = tmp_path / "results.csv"
    file.write_text("old")
    code = FULL_DISK + (
        "from prunetui.files.atomic import write_atomic\n"
        "try: write_atomic(Path(sys.argv[1]), 'x' * 5000)\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    assert python(code, file).stdout == "EFBIG\n"
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["results.csv"]


def test_a_rename_that_fails_leaves_nothing_beside(tmp_path: Path):
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomic(target, "new")
    assert names_in(tmp_path) == ["taken"]


def test_readers_see_the_old_or_the_new_text_while_another_process_writes(tmp_path: Path):
    file = tmp_path / "status.json"
    texts = {letter * 20_000 for letter in "abc"}
    write_atomic(file, min(texts))
    code = (
        "import sys; from pathlib import Path; from prunetui.files.atomic import write_atomic\n"
        "for i in range(60): write_atomic(Path(sys.argv[1]), 'abc'[i % 3] * 20_000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)], env=ENVIRONMENT) as writer:
        seen = set()
        while writer.poll() is None:
            seen.add(file.read_text())
    assert writer.returncode == 0
    assert seen <= texts


# A run folder -----------------------------------------------------------------------------------------


def test_a_new_run_holds_its_study_and_status(tmp_path: Path):
    run = create_run(tmp_path / "deep" / "runs", 'name = "x"\n', Status(state="queued", name="My Läb: 90 %!"))
    assert re.fullmatch(r"\d{8}-\d{6}-my-l-b-90-[0-9a-f]{6}", run.id)
    assert run.study_text() == 'name = "x"\n'
    assert run.models.is_dir()
    status = run.status()
    assert status is not None
    assert (status.state, status.name) == ("queued", "My Läb: 90 %!")
    assert abs(status.created - time.time()) < 60
    assert run.rows() == []
    assert run.tail().read() == []


def test_two_runs_of_one_study_in_one_second_are_two_folders(tmp_path: Path):
    ids = {create_run(tmp_path, "", Status(state="queued", name="lab")).id for _ in range(20)}
    assert len(ids) == 20


def test_a_run_that_cannot_be_created_is_told(tmp_path: Path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunFailed, match="cannot create a run in"):
        create_run(tmp_path / "runs", "", Status(state="queued"))


def test_a_status_comes_back_as_it_was_written(run: Run):
    status = Status(
        state="done", name="lab", methods=("a", "b"), trials=2, done=1, failed=1, dense=91.5, message="ünïcödé"
    )
    run.write_status(status)
    assert run.status() == status


def test_a_status_of_another_version_is_readable(run: Run):
    (run.folder / "status.json").write_text('{"state": "done", "trials": 3, "mood": "good"}')
    assert run.status() == Status(state="done", trials=3)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'"done"', b"\xff\xfe", b'{"state": "done", "created": "yesterday"}'],
)
def test_a_status_that_is_no_status_is_what_the_study_tells(run: Run, content: bytes):
    (run.folder / "status.json").write_bytes(content)
    status = run.status()
    assert status is not None
    assert (status.state, status.name) == ("queued", "lab")
    assert status.message.startswith("status.json cannot be read (")
    (run.folder / "study.toml").unlink()
    assert run.status() is None


# Who executes it --------------------------------------------------------------------------------------


def test_a_second_process_cannot_execute_a_run(run: Run):
    with executor(run) as process:
        run.write_status(running(process.pid))
        holder = f"is being executed by process {process.pid} on {HERE}"
        with pytest.raises(UsageError, match=holder) as caught, run.locked():
            pytest.fail("the lock was given twice")
        assert caught.value.exit_code == EXIT_USAGE


def test_the_lock_is_free_again_when_its_holder_is_done(run: Run):
    for _ in range(2):
        with run.locked():
            assert (run.folder / "lock").exists()
    with executor(run) as process:
        assert process.poll() is None


def test_a_run_is_running_while_its_process_lives_and_has_died_when_it_was_killed(run: Run):
    with executor(run) as process:
        run.write_status(running(process.pid))
        alive = run.status()
        assert alive is not None
        assert alive.state == "running"
        process.send_signal(signal.SIGKILL)
        process.wait()
        dead = run.status()
        assert dead is not None
        assert dead.state == "died"
        assert dead.message.startswith("its process was killed after 20")
    with run.locked():  # and whoever goes on with it gets the lock
        again = run.status()
        assert again is not None
        assert again.state == "running"


def test_looking_at_a_run_never_keeps_it_from_being_executed(run: Run):
    """A list of runs asks for the status of a killed run while the user resumes that very run."""
    run.write_status(running())
    (run.folder / "lock").touch()  # as a killed process leaves it
    code = (
        "import sys; from pathlib import Path; from prunetui.store import Run\n"
        "for i in range(3000): Run(Path(sys.argv[1])).status()"
    )
    taken = 0
    with subprocess.Popen([sys.executable, "-c", code, str(run.folder)], env=ENVIRONMENT) as looking:
        while looking.poll() is None:
            with run.locked():
                taken += 1
    assert taken > 0


def test_a_run_without_a_lock_file_was_never_alive(run: Run):
    run.write_status(running())
    status = run.status()
    assert status is not None
    assert status.state == "died"


def test_a_run_that_died_says_at_which_step(run: Run):
    run.write_status(running())
    (run.folder / "lock").touch()
    with run.appender() as emit:
        emit(events.StepStarted("a", "Train", "train 3 epochs", "dense-s0", 1))
        emit(events.StepFinished("a", "Train", 1.0, False, 1))
        emit(events.StepStarted("b", "Prune", "prune taylor sparsity:0.5", "taylor-0.5-s0", 1))
    assert run.status().message.endswith(", in the step 'prune taylor sparsity:0.5' of taylor-0.5-s0")
    with run.appender() as emit:
        emit(events.StepFinished("b", "Prune", 1.0, False, 1))
    assert "in the step" not in run.status().message


def test_a_run_died_with_its_machine(run: Run):
    run.write_status(running(heartbeat=1000.0))
    assert run.status().message.startswith("its machine was restarted after 1970-01-01")


@pytest.mark.parametrize(("age", "state"), [(5, "running"), (3600, "died"), (-3600, "died")])
def test_a_run_of_another_host_is_known_by_its_heartbeat(run: Run, age: float, state: str):
    run.write_status(running(host="far-away", heartbeat=time.time() - age))
    status = run.status()
    assert status is not None
    assert status.state == state


@pytest.mark.parametrize("state", ["queued", "done", "failed", "interrupted"])
def test_only_a_running_run_needs_a_process(run: Run, state: str):
    run.write_status(Status(state=state, host=HERE))
    status = run.status()
    assert status is not None
    assert status.state == state


# Events -----------------------------------------------------------------------------------------------


def test_a_tail_yields_each_event_once_and_waits_for_the_end_of_a_line(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    tail = Tail(file)
    assert tail.read() == []  # not there yet
    file.write_bytes(b'{"event":"log","level":"info","message":"one"}\n{"event":"log","level":"in')
    assert tail.read() == [Log("info", "one")]
    assert tail.read() == []
    with file.open("ab") as more:
        more.write(b'fo","message":"two"}\n')
    assert tail.read() == [Log("info", "two")]
    assert tail.read() == []


def test_a_tail_skips_lines_that_it_does_not_know(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'\n{"event":"coffee"}\n\xff\x00\n{"event":"log","level":"info","message":"one"}\n')
    assert Tail(file).read() == [Log("info", "one")]
    assert len(Tail(file).lines()) == 4


def test_two_tails_of_a_run_both_see_all(run: Run):
    with run.appender() as emit:
        first, second = run.tail(), run.tail()
        emit(Log("info", "one"))
        assert [len(first.read()), len(second.read())] == [1, 1]


def test_an_appender_adds_to_what_is_there_and_tells_the_time(run: Run):
    for message in ("one", "two"):
        with run.appender() as emit:
            emit(Log("info", message))
    told = run.tail().read()
    assert [event.message for event in told if isinstance(event, Log)] == ["one", "two"]
    assert all(abs(event.time - time.time()) < 60 for event in told)


def test_an_appender_after_half_a_line_loses_that_line_only(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"event":"log","level":"info","message":"one"}\n{"event":"log","lev')
    with Appender(file) as emit:
        emit(Log("info", "three"))
    lines = file.read_bytes().split(b"\n")
    assert (len(lines), lines[-1]) == (4, b"")
    assert [event.message for event in Tail(file).read() if isinstance(event, Log)] == ["one", "three"]


def test_an_event_that_does_not_fit_on_the_disk_is_an_error_and_not_half_a_line(tmp_path: Path):
    code = FULL_DISK + (
        "from prunetui.events import Log; from prunetui.store.run_folder import Appender\n"
        "emit = Appender(Path(sys.argv[1])); emit(Log('info', 'one'))\n"
        "try: emit(Log('info', 'x' * 5000))\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    file = tmp_path / "events.jsonl"
    assert python(code, file).stdout == "EFBIG\n"
    assert [event.message for event in Tail(file).read() if isinstance(event, Log)] == ["one"]


def test_an_event_is_visible_as_soon_as_it_is_emitted(run: Run):
    with run.appender() as emit:
        emit(RunFinished("done"))
        assert [event.kind for event in run.tail().read()] == ["run_finished"]


# results.csv ------------------------------------------------------------------------------------------


def test_results_have_the_columns_of_the_contract(run: Run):
    run.write_rows([])
    header = (run.folder / "results.csv").read_text().splitlines()
    assert len(header) == 1
    columns = header[0].split(",")
    contract = [name.strip() for name in CONTRACT.split(",")]
    assert [name for name in columns if name in contract] == contract


def test_rows_come_back_as_text_with_empty_cells_for_what_is_missing(run: Run):
    run.write_rows(
        [
            {"trial": "a-0.5-s0", "seed": 0, "top1": 90.25, "latency_ms": None, "status": "done"},
            {"trial": "b-0.5-s0", "seed": 1, "status": "failed", "error": 'no, "never"\nagain: ünïcödé'},
        ]
    )
    first, second = run.rows()
    assert (first["trial"], first["seed"], first["top1"], first["latency_ms"], first["loss"]) == (
        "a-0.5-s0", "0", "90.25", "", "",
    )  # fmt: skip
    assert (second["status"], second["error"]) == ("failed", 'no, "never"\nagain: ünïcödé')
    with (run.folder / "results.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [first, second]


def test_figures_of_zero_are_told_at_a_glance():
    rows = [
        {"method": "dense", "top1": 0.0, "top1_dense": 0.0},
        {"method": "l1", "top1": 0.0, "top1_dense": 0.0},
        {"method": "l1", "top1": "", "top1_dense": None},  # of a trial that failed
    ]
    assert dense_and_best(rows, CLASSIFICATION) == (0.0, 0.0)
    assert dense_and_best(rows[2:], CLASSIFICATION) == (None, None)


def test_rows_are_replaced_not_added(run: Run):
    run.write_rows([{"trial": "a", "status": "done"}, {"trial": "b", "status": "done"}])
    run.write_rows([{"trial": "c", "status": "failed"}])
    assert [row["trial"] for row in run.rows()] == ["c"]


def test_the_environment_is_json(run: Run):
    run.write_environment({"device": "cpu", "commit": None})
    assert json.loads((run.folder / "environment.json").read_text()) == {"device": "cpu", "commit": None}


# The folder of runs -----------------------------------------------------------------------------------


def _named(root: Path, name: str, created: float) -> Run:
    folder = root / name
    folder.mkdir(parents=True)
    run = Run(folder)
    run.write_status(Status(state="done", created=created))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs (the later one sorts first), and what else may lie beside them."""
    root = tmp_path / "runs"
    _named(root, "20260101-000000-lab-aaaaaa", created=2000.0)
    _named(root, "20260102-000000-lab-bbbbbb", created=1000.0)
    (root / "README.md").write_text("not a run")
    (root / ".cache" / "ab").mkdir(parents=True)
    (root / "0-empty").mkdir()
    (root / "0-corrupt").mkdir()
    (root / "0-corrupt" / "status.json").write_text("{")
    return root


def test_all_run_folders_are_listed_newest_first_and_foreign_files_are_not(runs: Path):
    assert [(run.id, status.state if status else None) for run, status in list_runs(runs)] == [
        ("20260102-000000-lab-bbbbbb", "done"),
        ("20260101-000000-lab-aaaaaa", "done"),
        ("0-empty", None),
        ("0-corrupt", None),
    ]


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path):
    assert list_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("20260101-000000-lab-aaaaaa", "20260101-000000-lab-aaaaaa"),
        ("aaaaaa", "20260101-000000-lab-aaaaaa"),
        ("20260102", "20260102-000000-lab-bbbbbb"),
        ("last", "20260101-000000-lab-aaaaaa"),
    ],
)
def test_a_run_is_found_by_its_id_a_part_of_it_or_as_the_last(runs: Path, given: str, found: str):
    assert find_run(runs, given).id == found


def test_a_whole_id_is_preferred_to_a_part_of_another(runs: Path):
    _named(runs, "20260101-000000-lab-aaaaaa-again", created=1.0)
    assert find_run(runs, "20260101-000000-lab-aaaaaa").id == "20260101-000000-lab-aaaaaa"


def test_a_run_is_found_by_its_path(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = runs / "20260101-000000-lab-aaaaaa"
    assert find_run(tmp_path / "elsewhere", str(path)).folder == path.resolve()
    monkeypatch.chdir(path)
    assert find_run(tmp_path / "elsewhere", ".").id == path.name


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("lab", "fits 2 runs: 20260102-000000-lab-bbbbbb, 20260101-000000-lab-aaaaaa"),
        ("nosuch", "no run in .* is called 'nosuch'"),
        ("0-empty", "is called '0-empty'"),
        ("0-corrupt", "is called '0-corrupt'"),
        ("~nobody-has-this-name", "is called '~nobody-has-this-name'"),
        ("x" * 300, "is called 'xxx"),
    ],
    ids=["ambiguous", "unknown", "empty folder", "corrupt folder", "unknown home", "too long"],
)
def test_a_name_that_is_no_run_is_told(runs: Path, given: str, told: str):
    with pytest.raises(UsageError, match=told):
        find_run(runs, given)


def test_there_is_no_last_run_in_an_empty_folder(tmp_path: Path):
    with pytest.raises(UsageError, match=r"there is no run in .* yet"):
        find_run(tmp_path, "last")


# The cache of finished steps --------------------------------------------------------------------------

KEY, OTHER = "ab" + "0" * 30, "cd" + "0" * 30


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "runs" / ".cache")


def test_a_step_is_found_under_its_key_with_its_files(cache: Cache):
    assert cache.meta(KEY) is None
    assert cache.file(KEY, "model") is None
    cache.put(KEY, {"seconds": 1.5}, {"model": b"weights"})
    assert cache.meta(KEY) == {"seconds": 1.5}
    path = cache.file(KEY, "model")
    assert path is not None
    assert path.read_bytes() == b"weights"
    assert cache.file(KEY, "extra") is None
    assert cache.meta(OTHER) is None


def test_a_step_that_is_there_is_left_as_it_is(cache: Cache):
    cache.put(KEY, {"by": "first"}, {"model": b"1"})
    cache.put(KEY, {"by": "second"}, {"model": b"2"})
    assert cache.meta(KEY) == {"by": "first"}


def test_a_step_that_cannot_be_read_is_put_again(cache: Cache):
    cache.put(KEY, {"by": "first"}, {"model": b"1"})
    model = cache.file(KEY, "model")
    assert model is not None
    (model.parent / "meta.json").write_bytes(b"")
    assert cache.meta(KEY) is None
    cache.put(KEY, {"by": "second"}, {"model": b"2"})
    assert cache.meta(KEY) == {"by": "second"}


def test_a_dropped_step_is_gone_and_dropping_it_again_is_nothing(cache: Cache):
    cache.put(KEY, {}, {"model": b"1"})
    cache.put(OTHER, {})
    cache.drop(KEY)
    cache.drop(KEY)
    assert cache.meta(KEY) is None
    assert cache.meta(OTHER) == {}
    cache.put(KEY, {"again": True})
    assert cache.meta(KEY) == {"again": True}


def test_the_size_counts_steps_and_bytes_and_pruning_frees_them(cache: Cache):
    assert cache.size() == (0, 0)
    cache.put(KEY, {}, {"model": b"x" * 1000})
    cache.put(OTHER, {})
    metas = sum(path.stat().st_size for path in cache.root.rglob("meta.json"))
    assert cache.size() == (2, 1000 + metas)
    assert cache.prune() == (2, 1000 + metas)
    assert cache.size() == (0, 0)
    assert cache.prune() == (0, 0)


def test_a_put_that_fails_leaves_no_trace(cache: Cache):
    code = FULL_DISK + (
        "from prunetui.store import Cache\n"
        "try: Cache(Path(sys.argv[1])).put(sys.argv[2], {}, {'small': b'x', 'model': b'x' * 5000})\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    assert python(code, cache.root, KEY).stdout == "EFBIG\n"
    assert cache.meta(KEY) is None
    assert [path for path in cache.root.rglob("*") if path.is_file()] == []
    cache.put(KEY, {"again": True})
    assert cache.meta(KEY) == {"again": True}


def test_two_processes_that_finish_the_same_steps_leave_whole_entries(cache: Cache):
    code = (
        "import sys; from pathlib import Path; from prunetui.store import Cache\n"
        "cache, me = Cache(Path(sys.argv[1])), sys.argv[2]\n"
        "sys.stdin.read()\n"  # until both are ready
        "for i in range(30): cache.put(f'{i:032d}', {'by': me}, {'model': me.encode() * 1000})"
    )
    command = [sys.executable, "-c", code, str(cache.root)]
    with (
        subprocess.Popen([*command, "1"], env=ENVIRONMENT, stdin=subprocess.PIPE) as first,
        subprocess.Popen([*command, "2"], env=ENVIRONMENT, stdin=subprocess.PIPE) as second,
    ):
        for process in (first, second):
            assert process.stdin is not None
            process.stdin.close()
        assert [first.wait(), second.wait()] == [0, 0]
    assert cache.size()[0] == 30
    for i in range(30):
        meta, model = cache.meta(f"{i:032d}"), cache.file(f"{i:032d}", "model")
        assert meta is not None
        assert model is not None
        assert model.read_bytes() == meta["by"].encode() * 1000
    assert [path.name for path in cache.root.rglob(".*")] == []


def test_a_link_in_the_cache_that_leads_nowhere_is_not_followed_for_its_size(cache: Cache):
    cache.put("ab" * 16, {"seconds": 1.0})
    entries, size = cache.size()
    meta = cache.root / "ab" / ("ab" * 16) / "meta.json"
    (meta.parent / "loop").symlink_to("loop")
    assert cache.size()[0] == entries
    assert 0 < cache.size()[1] - size < 100
    meta.unlink()
    meta.symlink_to("meta.json")
    assert cache.size()[0] == entries
