"""Runs as scripts see them: tables, figures, and an interrupt that is heard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import prunetui
from prunetui.config import parse_study
from prunetui.errors import DataError, RunFailed, UsageError
from prunetui.execute.submit import submit
from prunetui.scripting import start_run
from prunetui.scripting.opened_run import OpenedRun
from prunetui.scripting.result_rows import ResultRows, table_of
from prunetui.store import Run

ROW = {
    "trial": "l1-structured-0.5-s0", "method": "l1-structured", "label": "", "schedule": "one-shot", "seed": "0",
    "target": "sparsity:0.5", "sparsity": "0.5", "params": "100", "params_nonzero": "100", "macs": "2000",
    "top1_before": "50.0", "top1": "75.5", "val_top1": "", "top1_dense": "90.0", "loss": "0.5", "bytes": "400",
    "latency_ms": "", "seconds": "1.5", "status": "done", "error": "",
}  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path) -> OpenedRun:
    """A run of two trials, one of which failed."""
    run = submit(parse_study("methods = ['l1-structured']\nsparsities = [0.5]"), tmp_path)
    run.write_rows(
        [ROW, {**ROW, "trial": "other", "seed": 1, "top1": "", "status": "failed", "error": "out of memory"}]
    )
    return prunetui.open_run("last", runs=tmp_path)


def test_a_run_tells_its_rows_with_their_types(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("prunetui.scripting.result_rows.find_spec", lambda name: None)  # as where pandas is not there
    first, second = opened.table()
    assert (first["top1"], first["params"], first["seed"], first["val_top1"]) == (75.5, 100, 0, None)
    assert (second["top1"], second["error"]) == (None, "out of memory")
    assert opened.failed == [{"trial": "other", "error": "out of memory"}]
    assert opened.status == "queued"
    assert repr(opened.table()).splitlines()[1].split()[:3] == ["l1-structured-0.5-s0", "l1-structured", "sparsity:0.5"]
    assert "<td>75.5</td>" in opened.table()._repr_html_()
    assert opened.study.sparsities == (0.5,)


def test_rows_are_a_data_frame_where_pandas_is():
    pandas = pytest.importorskip("pandas")
    assert isinstance(table_of([ROW], ()), pandas.DataFrame)


def test_a_list_of_rows_without_any(tmp_path: Path):
    assert repr(ResultRows([])) == "trial"


def test_a_figure_shows_what_the_report_draws(opened: OpenedRun):
    (axes,) = opened.figure(x="macs", y="top1").axes
    assert axes.get_xlabel() == "MACs of one image"
    assert [list(container[0].get_xdata()) for container in axes.containers] == [[2000.0]]
    with pytest.raises(UsageError, match=r"y is 'top2'.*did you mean top1"):
        opened.figure(y="top2")


def test_what_is_not_there_is_told(opened: OpenedRun, tmp_path: Path):
    with pytest.raises(UsageError, match=r"no run in .* is called 'nothing'"):
        prunetui.open_run("nothing", runs=tmp_path)
    with pytest.raises(UsageError, match="kept no network of a trial 'other'"):
        opened.model("other")
    Run(opened.path).write_rows([])
    with pytest.raises(DataError, match="nothing to draw"):
        opened.figure()


# Interrupts -------------------------------------------------------------------------------------------


class Interrupting:
    """A view that is interrupted while it shows events, so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def show(self, lines: Sequence[bytes]) -> None:
        if self.left:
            self.left -= 1
            raise KeyboardInterrupt

    def close(self) -> None:
        self.left = 0


def test_an_interrupt_asks_the_run_to_stop_and_is_raised(
    opened: OpenedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    heard: list[bool] = []

    def until_stopped(run, device, stop):
        while not stop():
            pass
        heard.append(True)
        return 130

    monkeypatch.setattr(start_run, "execute", until_stopped)
    monkeypatch.setattr(start_run, "view_for", lambda json, quiet: Interrupting(1))
    with pytest.raises(KeyboardInterrupt):
        prunetui.run(resume="last", runs=tmp_path)
    assert heard == [True]
    assert (
        capsys.readouterr().err == f"interrupted; go on with: prunetui.run(resume='{opened.id}', runs='{tmp_path}')\n"
    )


def test_what_ends_a_run_is_raised_where_it_was_started(
    opened: OpenedRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fail(run, device, stop):
        raise RunFailed("the disk is full")

    monkeypatch.setattr(start_run, "execute", fail)
    with pytest.raises(RunFailed, match="the disk is full"):
        prunetui.run(resume=opened.id, runs=tmp_path, progress=False)


def test_a_run_needs_a_study(tmp_path: Path):
    with pytest.raises(UsageError, match="say which study"):
        prunetui.run(runs=tmp_path)
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        prunetui.run("quickstart", device="gpu", runs=tmp_path)
