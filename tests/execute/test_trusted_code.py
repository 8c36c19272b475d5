"""Code that a run names is run where the user named it, or says so; a run folder is data, wherever it comes from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prunetui.cli import run_study
from prunetui.config import parse_study
from prunetui.errors import UsageError
from prunetui.execute import trusted_code
from prunetui.execute.launcher import Runner
from prunetui.execute.submit import submit
from prunetui.execute.trusted_code import untrusted_code
from prunetui.store import Run

NET = "def make(channels, classes):\n    raise RuntimeError('it was run')\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that this user submitted here, of a network in a file."""
    (tmp_path / "net.py").write_text(NET)
    study = parse_study(f"model = {{ name = '{tmp_path}/net.py:make' }}\nmethods = ['l1-unstructured']")
    return submit(study, tmp_path / "runs")


def from_elsewhere(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same folder as another user finds it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    monkeypatch.setattr(trusted_code, "_here", set())
    return Run(Path(shutil.copytree(run.folder, place / "runs" / run.id)))


def resumed(run: Run, trust: bool) -> Run:
    return run_study.resumed(run.folder.parent, run.id, None, ["run.parallel=2"], trust)


def test_what_the_user_named_is_trusted_in_this_process_and_in_later_ones(run: Run, monkeypatch: pytest.MonkeyPatch):
    assert untrusted_code(run) == []
    monkeypatch.setattr(trusted_code, "_here", set())
    assert untrusted_code(run) == []


def test_a_run_from_elsewhere_is_resumed_after_it_was_trusted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    foreign = from_elsewhere(run, tmp_path / "other", monkeypatch)
    with pytest.raises(UsageError, match=r"comes from elsewhere and names code of net\.py:make, .*--trust"):
        resumed(foreign, trust=False)
    resumed(foreign, trust=True)
    assert "parallel = 2" in foreign.study_text()
    monkeypatch.setattr(trusted_code, "_here", set())
    resumed(foreign, trust=False)


def test_trust_is_of_this_very_code(run: Run):
    (copy,) = (run.folder / "contributions").glob("*.py")
    copy.write_text(NET + "\n# changed\n")
    assert untrusted_code(run) == ["net.py:make"]


@pytest.mark.parametrize("name", ["torch.nn:Sequential", "torch.nn:Identity"])
def test_functions_of_packages_are_code_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = submit(parse_study(f"model = {{ name = '{name}' }}\nmethods = ['l1-unstructured']"), tmp_path / "runs")
    assert untrusted_code(from_elsewhere(run, tmp_path / "other", monkeypatch)) == [name]


@pytest.mark.parametrize("name", ["resnet20", "torchvision:resnet18"])
def test_networks_that_are_built_from_plain_options_are_no_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = submit(parse_study(f"model = {{ name = '{name}' }}\nmethods = ['l1-unstructured']"), tmp_path / "runs")
    assert untrusted_code(from_elsewhere(run, tmp_path / "other", monkeypatch)) == []
    assert not (tmp_path / "other" / "state").exists()


def test_a_queue_from_elsewhere_starts_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    foreign = from_elsewhere(run, tmp_path / "other", monkeypatch)
    runner = Runner(foreign.folder.parent, "cpu")
    runner.queue.add(foreign.id)
    runner._start_next()
    status = foreign.status()
    assert status is not None
    assert (status.state, runner._child) == ("failed", None)
    assert "it names code of net.py:make, which nobody here has run" in status.message


def test_a_state_folder_that_cannot_be_written_is_no_hindrance(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    foreign = from_elsewhere(run, tmp_path / "other", monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    trusted_code.trust(foreign)
    assert untrusted_code(foreign) == []
