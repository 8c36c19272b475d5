"""What the screens of results look like: empty, busy, full, in trouble; small and large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare, OpenResults
from prunetui.tui.run_look import RunLook
from prunetui.tui.screens.trial.trial_screen import TrialScreen

from .fakes import STUDY, failed_row, fake_run, layer_rows, settle, small_model, study_rows, training

App = Callable[..., PrunetuiApp]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["small", "large"])
RUN = "20240101-000000-first"


def opened(*keys: str, compare: bool = False) -> Callable[[Pilot[Any]], Any]:
    async def told(pilot: Pilot[Any]) -> None:
        if compare:
            pilot.app.post_message(OpenCompare([RUN, "20240101-000000-second"]))
        else:
            pilot.app.post_message(OpenResults(RUN))
        await pilot.pause()
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    return told


def full(root: Path) -> None:
    fake_run(root, "first", rows=study_rows(seeds=(0, 1, 2)))


@SIZES
def test_full(snap_compare, root: Path, app_of: App, size):
    full(root)
    assert snap_compare(app_of(root), terminal_size=size, run_before=opened("right", "right", "f"))


def test_trials(snap_compare, root: Path, app_of: App):
    full(root)
    assert snap_compare(app_of(root), run_before=opened("2", "down"))


@SIZES
def test_empty(snap_compare, root: Path, app_of: App, size):
    fake_run(root, "first", "queued")
    assert snap_compare(app_of(root), terminal_size=size, run_before=opened())


def test_busy(snap_compare, root: Path, app_of: App):
    fake_run(root, "first", "running", study_rows()[:4])
    assert snap_compare(app_of(root), terminal_size=(120, 40), run_before=opened())


@SIZES
def test_trouble(snap_compare, root: Path, app_of: App, size):
    fake_run(root, "first", "failed", [failed_row("obd", "ValueError: singular")], message="every trial failed")
    assert snap_compare(app_of(root), terminal_size=size, run_before=opened())


def test_layers(snap_compare, root: Path, app_of: App):
    fake_run(root, "first", rows=layer_rows())
    assert snap_compare(app_of(root), run_before=opened("down"))


def test_ascii_and_light(snap_compare, root: Path, app_of: App):
    full(root)
    app = app_of(root, ascii_only=True)
    app.session.settings = type(app.session.settings)(theme="prunetui-light", ascii=True)
    assert snap_compare(app, run_before=opened("right", "f"))


@SIZES
def test_compare_full(snap_compare, root: Path, app_of: App, size):
    full(root)
    fake_run(root, "second", rows=study_rows()[:3], study=STUDY.format(name="second", epochs=8, lr=0.02))
    assert snap_compare(app_of(root), terminal_size=size, run_before=opened("right", compare=True))


def test_compare_busy(snap_compare, root: Path, app_of: App):
    full(root)
    fake_run(root, "second", "running")
    assert snap_compare(app_of(root), run_before=opened(compare=True))


def test_compare_trouble(snap_compare, root: Path, app_of: App):
    full(root)
    assert snap_compare(app_of(root), run_before=opened(compare=True))


def test_compare_empty(snap_compare, root: Path, app_of: App):
    assert snap_compare(app_of(root), run_before=opened(compare=True))


@pytest.mark.parametrize(("size", "keys"), [((80, 24), ["2"]), ((120, 40), ["2", "down"])], ids=["small", "large"])
def test_trial(snap_compare, root: Path, app_of: App, size, keys: list[str]):
    run = fake_run(root, "first", rows=study_rows(), told=training("taylor-0.5-s0"))
    small_model(run)

    async def told(pilot: Pilot[Any]) -> None:
        view = RunLook(run)()
        pilot.app.push_screen(TrialScreen(view, view.rows, 3))
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    assert snap_compare(app_of(root), terminal_size=size, run_before=told)
