"""What the list of runs, the live screen and the dialogs look like, small and large."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from prunetui import events
from prunetui.store.queue import Queue
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenLive
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.views import Gauges

from .fakes import NOW, failed_row, fake_run, settle, study_rows, training, until

App = Callable[..., PrunetuiApp]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["small", "large"])
RUN = "20240101-000000-first"


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A clock, a machine and a folder that are the same wherever this runs."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(
        "prunetui.tui.screens.live.live_screen.GaugesLook", lambda: lambda: Gauges(37, 52, 8_000_000_000)
    )
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(root: Path) -> Path:
    """The folder of runs by a name that does not depend on where tests run."""
    return Path(os.path.relpath(root))


def listed(*keys: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def told(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: pilot.app.session.entries is not None)
        await pilot.press(*keys)
        await settle(pilot)

    return told


def live(*keys: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def told(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenLive(RUN))
        await until(pilot, lambda: getattr(pilot.app.screen, "view", None) is not None)
        await until(pilot, lambda: bool(str(pilot.app.screen.query_one("#gauges", Static).content)))
        await pilot.press(*keys)
        await settle(pilot)

    return told


def write(root: Path, told: Sequence[events.Event]) -> None:
    """Events ten seconds apart."""
    lines = [events.to_json(replace(event, time=NOW + 10 * i)) for i, event in enumerate(told)]
    (root / RUN / "events.jsonl").write_text("\n".join(lines) + "\n")


def several(root: Path) -> None:
    """One of each state."""
    fake_run(
        root, "sweep of nine methods", "running", created=NOW - 900, started=NOW - 800, done=4, failed=1, trials=12
    )
    fake_run(root, "next", "queued", created=NOW - 60, model="vgg11")
    fake_run(root, "paused", "running", created=NOW - 5000, started=NOW - 4000, done=1, trials=3, message="paused")
    fake_run(root, "resnet18 on cifar10", rows=study_rows(), created=NOW - 90_000, model="resnet18", data="cifar10",
             methods=("taylor", "l1-structured", "obs", "fpgm"), dense=94.61, best=93.87)  # fmt: skip
    fake_run(root, "too eager", "failed", created=NOW - 200_000, message="disk full")
    fake_run(root, "left", "interrupted", created=NOW - 300_000, done=2)
    fake_run(root, "never started", "queued", created=NOW - 400_000)
    Queue(root).add("20240101-000000-next")


@SIZES
def test_runs_empty(snap_compare, runs: Path, app_of: App, size):
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed())


@SIZES
def test_runs_busy(snap_compare, runs: Path, app_of: App, size):
    several(runs)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed("down", "down", "space"))


@SIZES
def test_runs_full(snap_compare, runs: Path, app_of: App, size):
    for i in range(60):
        fake_run(runs, f"study {i}", created=NOW - 4000 * i, dense=92.4, best=92 - i / 10, done=5)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed("end", "up", "slash", *"study"))


@SIZES
def test_runs_unreadable(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "good")
    for name in ("a-folder", "half-written"):
        (runs / name).mkdir()
    (runs / "half-written" / "status.json").write_text('{"state": "do')
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed())


@SIZES
def test_live_queued(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "first", "queued")
    Queue(runs).add(RUN)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=live())


BUSY = [
    events.RunStarted(RUN, "NVIDIA H200", False),
    events.Planned(5, 0, 9, 1000),
    *training("dense-4ep-s0"),
    events.TrialFinished("dense-4ep-s0", "done", study_rows()[0]),
    events.TrialFinished("l1-unstructured-0.5-s0", "done", study_rows()[1]),
    events.Log("warning", "obd-0.5-s0: 3 layers have no gradient"),
    events.StepStarted("k9", "Train", "train 4 epochs", "taylor-0.5-s0", 300),
    *(events.EpochFinished("k9", i, 30, 2.3 / i**0.5, 95 - 60 / i) for i in range(1, 12)),
    events.Progress("k9", 1234, 3000, 12, 30, 12345.0, 0.4321, 0.1),
]


@SIZES
def test_live_busy(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "first", "running", study_rows()[:4])
    write(runs, BUSY)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=live())


@pytest.mark.parametrize("key", ["2", "3", "4"], ids=["training", "trials", "log"])
def test_live_busy_behind(snap_compare, runs: Path, app_of: App, key: str):
    fake_run(runs, "first", "running", study_rows()[:4])
    write(runs, BUSY)
    assert snap_compare(app_of(runs), run_before=live(key))


@SIZES
def test_live_done(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "first", rows=study_rows())
    write(runs, [*BUSY, events.RunFinished("done")])
    assert snap_compare(app_of(runs), terminal_size=size, run_before=live())


@SIZES
def test_live_failed(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "first", "failed", [failed_row("obd", "ValueError: singular")], message="the disk is full")
    told = [
        *BUSY[:2],
        events.Log("error", "obd-0.5-s0: ValueError: singular"),
        events.RunFinished("failed", "disk full"),
    ]
    write(runs, told)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=live("4"))


@SIZES
def test_help(snap_compare, runs: Path, app_of: App, size):
    several(runs)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed("question_mark"))


@SIZES
def test_quit(snap_compare, runs: Path, app_of: App, size):
    several(runs)
    assert snap_compare(app_of(runs), terminal_size=size, run_before=listed("q"))


@SIZES
def test_stop(snap_compare, runs: Path, app_of: App, size):
    fake_run(runs, "first", "running", study_rows()[:4])
    write(runs, BUSY)

    async def asked(pilot: Pilot[Any]) -> None:
        await live()(pilot)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))

    assert snap_compare(app_of(runs), terminal_size=size, run_before=asked)
