"""Files of a run that are damaged, or are no files: set aside or told in a line, never believed, never waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prunetui import events
from prunetui.errors import RunFailed, UsageError
from prunetui.store import Run, Status, alive, create_run, list_runs
from prunetui.store.control import Control, Wishes
from prunetui.store.results import parse_results, results_text
from prunetui.tui.screens.results.results_look import ResultsLook

ROWS = [
    {
        "trial": f"l1-{target}-s0", "method": "l1-structured", "label": "l1, \"quoted\"", "schedule": "one-shot",
        "seed": 0,
        "target": f"sparsity:{target}", "sparsity": target, "params": 1000, "params_nonzero": 1000, "macs": 5000,
        "top1_before": 20.5, "top1": 90.25, "val_top1": None, "top1_dense": 95.0, "loss": float("nan"), "bytes": 4000,
        "seconds": 1.5, "status": "done",
    }
    for target in (0.5, 0.9)
]  # fmt: skip
STUDY = 'name = "lab"\nsparsities = [0.5, 0.9]\nmethods = ["l1-structured"]\n[data]\nname = "digits"\n'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run."""
    run = create_run(tmp_path / "runs", STUDY, Status("queued", name="lab", data="digits", model="resnet20"))
    with run.appender() as emit:
        emit(events.RunStarted(run.id, "cpu", False))
        emit(events.Planned(2, 0, 9, 1000))
        for row in ROWS:
            emit(events.TrialFinished(str(row["trial"]), "done", row))
        emit(events.RunFinished("done"))
    run.write_rows(ROWS)
    run.write_status(Status("done", name="lab", data="digits", model="resnet20", started=1.0, trials=2, done=2))
    return run


def text(change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda path: path.write_text(change(path.read_text()))


def data(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


RESULTS: dict[str, Callable[[Path], object]] = {
    "a column less": text(lambda t: "\n".join(line.partition(",")[2] for line in t.split("\n"))),
    "a cell more": text(lambda t: t.replace("done,,,\n", "done,,,,7\n", 1)),
    "a cell less": text(lambda t: t.replace("done,,,\n", "done,,\n", 1)),
    "inf": text(lambda t: t.replace("90.25", "inf", 1)),
    "nan": text(lambda t: t.replace("90.25", "nan", 1)),
    "a word": text(lambda t: t.replace("90.25", "good", 1)),
    "beyond float": text(lambda t: t.replace("90.25", "1e400", 1)),
    "a fraction of a parameter": text(lambda t: t.replace(",1000,", ",1000.5,", 1)),
    "many digits": text(lambda t: t.replace(",1000,", f",{'9' * 5000},", 1)),
    "another status": text(lambda t: t.replace(",done,", ",fine,", 1)),
    "byte order mark": text(lambda t: "\ufeff" + t),
    "no UTF-8": lambda path: path.write_bytes(path.read_bytes().replace(b"l1-structured", b"l1\xff\xfe", 1)),
    "a zero byte": lambda path: path.write_bytes(path.read_bytes().replace(b"l1-structured", b"l1\0", 1)),
    "a huge cell": text(lambda t: t.replace("l1-structured", "x" * 140_000, 1)),
    "an open quote": text(lambda t: t + '"'),
    "a row twice": text(lambda t: t + t.split("\n")[1] + "\n"),
    "no trial": text(lambda t: t.replace("l1-0.5-s0", "", 1)),
    "empty": data(b""),
    "binary": data(bytes(range(256))),
    "a pipe": pipe,
    "a folder": folder,
    "a device": device,
}


@pytest.mark.parametrize("damage", RESULTS)
def test_damaged_results_are_told_from_the_events(run: Run, damage: str):
    path, before = run.folder / "results.csv", run.rows()
    assert [row["top1"] for row in before] == ["90.25", "90.25"]
    assert before[0]["loss"] == ""  # no number, in the events too
    RESULTS[damage](path)
    with pytest.raises((OSError, ValueError)):
        parse_results(path.read_bytes() if path.is_file() else b"")
    found = run.results()
    assert found.rows == before
    assert found.trouble.startswith("results.csv is damaged (")
    shown = ResultsLook(run)()
    assert [line.figures["top1"].mean for line in shown.lines] == [90.25, 90.25]
    assert shown.trouble == found.trouble
    assert os.path.lexists(path)  # who only looks changes nothing

    with run.locked():
        healed = run.healed_rows()
    assert healed.rows == before
    assert "its 2 rows are taken from the events" in healed.trouble
    assert not os.path.lexists(path)
    assert os.path.lexists(run.folder / "results.csv.damaged-1")
    run.write_rows(healed.rows)
    assert run.healed_rows().trouble == ""


def test_a_figure_that_was_never_told_is_damage_to_who_goes_on(run: Run):
    text(lambda t: t.replace("90.25", "91.25", 1))(run.folder / "results.csv")
    healed = run.healed_rows()
    assert [row["top1"] for row in healed.rows] == ["90.25", "90.25"]
    assert "l1-0.5-s0: top1 is '91.25', but was '90.25'" in healed.trouble


def test_a_row_may_be_newer_than_its_event_by_its_latency(run: Run):
    newer = [{**row, "latency_ms": 1.25, "seconds": 2.5} for row in ROWS]
    run.write_rows(newer)
    assert run.healed_rows().trouble == ""


def test_results_are_read_as_they_were_written():
    row = {"trial": "a\r\nb", "label": 'x,"y"\n', "status": "failed", "error": "é\0"}
    (read,) = parse_results(results_text([row]).encode())
    assert (read["trial"], read["label"], read["error"]) == ("a\r\nb", 'x,"y"\n', "é\\0")


STATUS: dict[str, Callable[[Path], object]] = {
    "empty": data(b""),
    "a list": data(b"[]"),
    "null": data(b"null"),
    "an object": data(b"{}"),
    "no number": data(b'{"state": "done", "created": NaN}'),
    "nested": data(b"[" * 200_000),
    "many digits": data(b'{"state": "done", "pid": ' + b"9" * 5000 + b"}"),
    "a far time": data(b'{"state": "done", "created": 1e300}'),
    "wrong types": data(b'{"state": "done", "methods": "abc", "trials": true}'),
    "binary": data(b"\xff\xfe\0"),
    "a pipe": pipe,
    "a folder": folder,
    "a device": device,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("damage", STATUS)
def test_a_damaged_status_is_what_the_study_and_the_events_tell(run: Run, damage: str):
    STATUS[damage](run.folder / "status.json")
    status = run.status()
    assert status is not None
    assert (status.state, status.name, status.trials, status.done) == ("done", "lab", 2, 2)
    assert (status.dense, status.best) == (95.0, 90.25)
    assert status.message.startswith("status.json ")
    assert [state for _, state in list_runs(run.folder.parent)] == [status]


EVENTS: dict[str, bytes] = {
    "another version": b'{"event": "coffee", "cups": 3}\n',
    "binary": bytes(range(256)) + b"\n",
    "wrong types": b'{"event": "planned", "trials": "many", "done": [], "steps": 1.5, "work": null}\n',
    "a far time": b'{"event": "log", "level": "info", "message": "x", "time": 1e300}\n',
    "nested": b'{"event": "log", "level": ' + b"[" * 100_000 + b"\n",
    "many digits": b'{"event": "planned", "trials": ' + b"9" * 4000 + b', "done": 0, "steps": 0, "work": 0}\n',
    "no number": b'{"event": "epoch_finished", "key": "a", "epoch": 1, "epochs": 2, "loss": null, "accuracy": 1.0}\n',
    "a row of lists": b'{"event": "trial_finished", "trial": "t", "status": "done", "row": {"top1": []}}\n',
    "a long line": b"x" * 20_000_000 + b"\n",
    "half a line": b'{"event": "log", "level"',
}


@pytest.mark.parametrize("damage", EVENTS)
def test_damaged_events_are_skipped_by_every_reader(run: Run, damage: str):
    path = run.folder / "events.jsonl"
    path.write_bytes(EVENTS[damage] + path.read_bytes() + EVENTS[damage])
    kinds = [type(event) for event in run.tail().read()]
    assert kinds.count(events.TrialFinished) >= 2
    assert ResultsLook(run)().view.progress.trials_done >= 1
    os.truncate(path, 10)
    with run.appender() as emit:
        emit(events.Log("info", "goes on"))
    assert run.tail().read()[-1] == run.tail().read()[-1]
    assert isinstance(run.tail().read()[-1], events.Log)


def test_wishes_of_another_kind_are_none(run: Run):
    path = run.folder / "control.json"
    for content in (b"[]", b"\xff", b"[" * 100_000, b'{"stop": "yes", "pause": 1, "skip": 7}', b'{"skip": [1, {}]}'):
        path.write_bytes(content)
        assert Control(run).read() == Wishes()
    path.write_bytes(b'{"stop": true, "skip": ["a", 3]}')
    assert Control(run).read() == Wishes(stop=True, skip=("a",))
    pipe(path)
    assert Control(run).read() == Wishes()


COMMANDS = (["runs"], ["show", "last"], ["report", "last", "--format", "md"])


@pytest.mark.parametrize("name", ["results.csv", "status.json", "events.jsonl", "environment.json", "study.toml"])
def test_no_command_waits_for_a_pipe_in_the_place_of_a_file(run: Run, name: str):
    (run.folder / name).unlink(missing_ok=True)
    os.mkfifo(run.folder / name)
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "prunetui", *command, "--runs", str(run.folder.parent)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1, 2)


def test_who_executes_sets_aside_what_is_no_file(run: Run):
    for name in ("events.jsonl", "worker.log", "lock", "status.json"):
        (run.folder / name).unlink(missing_ok=True)
        os.mkfifo(run.folder / name)
    with run.locked() as aside, run.appender() as emit:
        emit(events.Log("info", "begins"))
        assert len(aside) == 4
        assert aside[0] == "status.json is not a regular file; it is now status.json.damaged-1"
    assert len(run.tail().read()) == 1


# Who executes a run -----------------------------------------------------------------------------------


def test_a_deleted_lock_admits_no_second_owner(run: Run):
    run.write_status(Status("running", host=os.uname().nodename, pid=os.getpid()))
    with run.locked():
        (run.folder / "lock").unlink()
        status = run.status()
        assert status is not None
        assert status.state == "running"
        with pytest.raises(UsageError, match="is being executed by process"), Run(run.folder).locked():
            pass
    with Run(run.folder).locked():
        assert (run.folder / "lock").is_file()


def test_a_folder_that_cannot_be_written_is_told(run: Run, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, *flags: int) -> int:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(alive, "open_regular", refuse)
    with pytest.raises(RunFailed, match=r"its folder .* cannot be written \(Read-only file system\)"), run.locked():
        pass


def test_a_folder_knows_whether_it_is_still_the_same(run: Run):
    place = run.place()
    assert place is not None
    run.folder.rename(run.folder.with_name("elsewhere"))
    assert run.place() is None
    run.folder.mkdir()
    assert run.place() not in (place, None)


def test_a_process_on_another_host_is_judged_by_changes_of_its_heartbeat(run: Run, monkeypatch: pytest.MonkeyPatch):
    clock = {"now": 1000.0}
    monkeypatch.setattr(alive.time, "monotonic", lambda: clock["now"])

    def state(heartbeat: float, after: float) -> str:
        clock["now"] += after
        run.write_status(Status("running", host="far-away", heartbeat=heartbeat))
        status = run.status()
        assert status is not None
        return status.state

    ahead = time.time() + 3600  # the other clock is an hour ahead
    assert state(ahead, 0) == "died"  # at first sight it may as well be made up
    assert state(ahead + 2, 2) == "running"
    assert state(ahead + 2, 50) == "running"
    assert state(ahead + 2, 11) == "died"  # a minute without a beat
    assert state(ahead + 4, 2) == "running"
    assert state(1.0, 2) == "died"


# Output that nobody takes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "code"), [(">&-", 0), (">/dev/full", 1), ("2>&-", 0), (">&- 2>&- <&-", 0)])
@pytest.mark.parametrize("command", ["runs", "presets --json"])
def test_output_that_nobody_takes_ends_quietly(tmp_path: Path, command: str, target: str, code: int):
    line = f"{sys.executable} -m prunetui {command} --runs {tmp_path} {target}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.returncode) == ("", code)


def test_json_of_a_damaged_run_has_the_rows(run: Run, capsys: pytest.CaptureFixture[str]):
    from prunetui.cli.show_run import print_run

    (run.folder / "results.csv").write_bytes(b"")
    print_run(run.folder.parent, run.id, as_json=True)
    printed = capsys.readouterr()
    assert [row["top1"] for row in json.loads(printed.out)["results"]] == ["90.25", "90.25"]
    assert printed.err.startswith("warning: results.csv is damaged (it is empty)")
