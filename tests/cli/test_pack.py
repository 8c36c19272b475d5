"""prunetui runs --export: what is in a pack, what is not, and that it opens as a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tui.fakes import fake_run, small_model, study_rows

import prunetui
from prunetui.cli.pack_run import export_runs, hider
from prunetui.errors import DataError, UsageError
from prunetui.report.gather import gather
from prunetui.report.page import page
from prunetui.store import Run, find_run, list_runs

ROOT = Path(prunetui.__file__).resolve().parent.parent


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run of somebody whose home is /home/ada."""
    monkeypatch.setenv("HOME", "/home/ada")
    run = fake_run(tmp_path / "runs", "first", rows=study_rows(), host="ada-laptop", pid=4711)
    small_model(run)
    run.write_environment({"command": ["prunetui", "/home/ada/x.toml"], "cwd": "/home/ada/work", "device": "cpu"})
    (run.folder / "worker.log").write_text("read /home/ada/data, /home/adam/data and /scratch/x\n", encoding="utf-8")
    (run.folder / "lock").touch()
    run.partial.mkdir()
    return run


def test_a_pack_is_the_run_without_its_networks(run: Run, tmp_path: Path):
    (packed,) = export_runs(tmp_path / "runs", ["first"], tmp_path / "packs")
    assert packed == tmp_path / "packs" / run.id
    assert sorted(file.name for file in packed.iterdir()) == [
        "environment.json", "events.jsonl", "layers.json", "results.csv", "status.json", "study.toml", "worker.log",
    ]  # fmt: skip
    assert (packed / "results.csv").read_bytes() == (run.folder / "results.csv").read_bytes()
    assert [found.name for found in (tmp_path / "packs").iterdir()] == [run.id]


def test_host_process_and_folders_of_the_user_stay_at_home(run: Run, tmp_path: Path):
    (packed,) = export_runs(tmp_path / "runs", [], tmp_path / "packs")
    status, environment = (json.loads((packed / name).read_text()) for name in ("status.json", "environment.json"))
    assert (status["host"], status["pid"], status["name"]) == ("", 0, "first")
    assert environment == {"command": ["prunetui", "~/x.toml"], "device": "cpu"}
    assert (packed / "worker.log").read_text() == "read ~/data, /home/adam/data and /scratch/x\n"


def test_homes_in_json_are_hidden_whatever_the_escapes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ren\u00e9")
    words = "no space:\n/home/ren\u00e9/runs"
    run.write_status(replace(run.status(), message=words))
    run.write_environment({"command": [words, "file:///home/ren\u00e9/x"]})
    lines = [json.dumps({"kind": "log", "text": words, "loss": 1e-05}), '{"kind": "other"}', '{"cut": "/home/ren\u00e9']
    (run.folder / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (packed,) = export_runs(tmp_path / "runs", [], tmp_path / "packs")
    assert json.loads((packed / "status.json").read_text())["message"] == "no space:\n~/runs"
    assert json.loads((packed / "environment.json").read_text()) == {"command": ["no space:\n~/runs", "file://~/x"]}
    assert (packed / "events.jsonl").read_text().split("\n") == [
        '{"kind":"log","text":"no space:\\n~/runs","loss":1e-05}', '{"kind": "other"}', '{"cut": "~',
    ]  # fmt: skip


def test_a_pack_opens_and_reports_with_the_pictures_of_its_layers(run: Run, tmp_path: Path):
    export_runs(tmp_path / "runs", [], tmp_path / "packs")
    ((listed, status),) = list_runs(tmp_path / "packs")
    assert status is not None
    assert (status.state, listed.rows()) == ("done", run.rows())
    drawn = [page(gather(tmp_path / folder, ["last"]), now=0.0) for folder in ("runs", "packs")]
    assert "what taylor keeps of each layer" in drawn[1]
    assert drawn[0].count("<svg") == drawn[1].count("<svg")


def test_a_pack_can_be_packed_again(run: Run, tmp_path: Path):
    (once,) = export_runs(tmp_path / "runs", [], tmp_path / "packs")
    (twice,) = export_runs(tmp_path / "packs", [], tmp_path / "again")
    assert (once / "layers.json").read_bytes() == (twice / "layers.json").read_bytes()


def test_nothing_is_written_over(run: Run, tmp_path: Path):
    export_runs(tmp_path / "runs", [], tmp_path / "packs")
    for folder in ("packs", "runs"):
        with pytest.raises(UsageError, match="already there"):
            export_runs(tmp_path / "runs", [], tmp_path / folder)


def test_a_run_that_is_executed_is_not_packed(tmp_path: Path):
    fake_run(tmp_path / "runs", "live", "running")
    with pytest.raises(UsageError, match="is running; export it when it is over"):
        export_runs(tmp_path / "runs", [], tmp_path / "packs")
    assert not (tmp_path / "packs").exists()


def test_what_is_no_run_is_a_sentence(run: Run, tmp_path: Path):
    (run.folder / "status.json").write_text("[]", encoding="utf-8")
    (run.folder / "study.toml").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as a run"):
        export_runs(tmp_path / "runs", [str(run.folder)], tmp_path / "packs")
    (tmp_path / "file").touch()
    other = fake_run(tmp_path / "runs", "other", rows=study_rows())
    with pytest.raises(UsageError, match="cannot write to"):
        export_runs(tmp_path / "runs", [other.id], tmp_path / "file" / "packs")


@pytest.mark.parametrize(
    ("home", "given", "seen"),
    [
        ("/home/ada", '"/home/ada/x" /home/ada', '"~/x" ~'),
        ("/home/ada", "/home/ada2 /home/ada-b /mnt/home/ada/x", "/home/ada2 /home/ada-b /mnt/home/ada/x"),
        ("/home/ada", "in /home/ada. /home/ada.old a/home/ada", "in ~. /home/ada.old a/home/ada"),
        ("/ada", "ada = /ada/data; file:///ada/x", "ada = ~/data; file://~/x"),
        ("/ada", "'\\n/ada/x'", "'\\n~/x'"),  # a line break as Python writes it
        ("/", "/a/b", "/a/b"),
    ],
)
def test_only_whole_home_folders_are_hidden(home: str, given: str, seen: str):
    assert hider(home)(given) == seen


def test_the_commands_as_scripts_meet_them(run: Run, tmp_path: Path):
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "prunetui", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done

    done = call("runs", "first", "--export", "packs")
    assert (done.returncode, done.stdout) == (0, f"packs/{run.id}\n")
    assert "with its networks" in done.stderr
    assert call("runs", "first", "--export", "packs").returncode == 2
    assert call("runs", "first").returncode == 2
    done = call("report", "first", "--runs", "packs", "-o", "report.html")
    assert (done.returncode, done.stdout) == (0, "report.html\n")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    done = call("report", "first", "--runs", "packs")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# first\n")
    assert call("report", "first", "--format", "pdf").returncode == 2
    assert call("report").returncode == 2
    assert find_run(tmp_path / "packs", "last").id == run.id
