"""Several runs side by side."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from prunetui.config.differences import differences
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare
from prunetui.tui.screens.compare.compare_look import CompareLook
from prunetui.tui.screens.compare.compare_screen import CompareScreen
from prunetui.tui.screens.compare.comparison_table import Lines, SettingsTable
from prunetui.tui.screens.results.results_screen import ResultsScreen
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.plot import Plot

from .fakes import STUDY, failed_row, fake_row, fake_run, layer_rows, settle, study_rows

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
RUNS = ["20240101-000000-first", "20240101-000000-second"]


def two_runs(root: Path) -> None:
    fake_run(root, "first", rows=study_rows())
    rows = [*[row for row in study_rows() if row["method"] != "taylor"], fake_row("random", 0.5)]
    fake_run(root, "second", rows=rows, study=STUDY.format(name="second", epochs=4, lr=0.02))


def comparing(story: Callable[[Pilot[Any], Plot], Any], runs: list[str] = RUNS) -> Callable[[Pilot[Any]], Any]:
    async def told(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenCompare(runs))
        await pilot.pause()
        await settle(pilot)
        await story(pilot, pilot.app.screen.query_one(Plot))

    return told


def trouble(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one("#trouble", Static).content)


def test_series_carry_the_name_of_their_run_only_where_two_runs_have_them(root: Path, app_of: App, drive: Drive):
    two_runs(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        labels = [curve.label for curve in plot.picture.series]
        assert labels == ["l1-unstructured (first)", "taylor", "l1-unstructured (second)", "random"]
        settings = pilot.app.screen.query_one(SettingsTable)
        assert [column.title for column in settings.columns] == ["differs", "first", "second"]
        assert list(settings.rows) == [("train.lr", ("0.1", "0.02"))]
        assert len(pilot.app.screen.query_one(Lines).rows) == 9

    drive(app_of(root), comparing(story))


def test_keys_of_the_chart_and_the_table_work_here_too(root: Path, app_of: App, drive: Drive, tmp_path: Path):
    two_runs(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        table = pilot.app.screen.query_one(Lines)
        await pilot.press("x", "f", "o", "plus", "0", "right", "c")
        assert pilot.app.clipboard.startswith("l1-unstructured (first) sparsity:0.9: top-1 77.42 %")
        await pilot.press("m", "space", "escape")
        assert plot.picture.hidden == {"l1-unstructured (first)"}
        await pilot.press("slash", *"run:second", "enter")
        assert {row.name for row in table.rows} == {"second"}
        await pilot.press("s", "down", "enter")
        await pilot.pause()
        assert [row.line.label for row in table.rows] == sorted(row.line.label for row in table.rows)
        await pilot.press("w", "down", "enter")
        await pilot.pause()
        await pilot.press("c")
        assert pilot.app.clipboard.startswith("| run | method |")
        await pilot.press("escape", "d", "c")
        assert pilot.app.clipboard.startswith("| differs | first | second |")
        await pilot.press("escape")
        assert plot.query_one(ChartView).has_focus
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, CompareScreen)

    drive(app_of(root), comparing(story))
    rows = list(csv.DictReader((tmp_path / "compare-results.csv").read_text().splitlines()))
    assert {row["name"] for row in rows} == {"second"}
    assert "top1_spread" in rows[0]


def test_the_report_of_all_runs_is_saved(root: Path, app_of: App, drive: Drive, tmp_path: Path):
    two_runs(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("w", "down", "down", "down", "down", "enter")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    drive(app_of(root), comparing(story))
    page = (tmp_path / "compare-report.html").read_text(encoding="utf-8")
    assert "<title>first and second - pruning report</title>" in page


def test_what_cannot_be_reported_is_told(root: Path, app_of: App, drive: Drive, tmp_path: Path):
    two_runs(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        for run in RUNS:
            shutil.rmtree(root / run)
        await pilot.press("w", "down", "down", "down", "down", "enter")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert any("Nothing was saved: " in note.message for note in pilot.app._notifications)

    drive(app_of(root), comparing(story))
    assert list(tmp_path.glob("*.html")) == []


def test_enter_opens_the_run_of_a_line_or_a_point(root: Path, app_of: App, drive: Drive):
    two_runs(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("right", "down", "down", "down", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ResultsScreen)
        assert pilot.app.screen.run_id == RUNS[1]
        await pilot.press("escape", "2", "home", "enter")
        await pilot.pause()
        assert pilot.app.screen.run_id == RUNS[0]

    drive(app_of(root), comparing(story))


def test_a_run_that_cannot_be_read_or_has_no_curves_is_told(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=[*study_rows(), failed_row("obd", "ValueError: singular")])
    broken = fake_run(root, "broken", rows=study_rows())
    (broken.folder / "study.toml").write_text("= no")
    fake_run(root, "layers", rows=layer_rows())
    runs = [RUNS[0], "20240101-000000-broken", "20240101-000000-gone", "20240101-000000-layers"]

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert "20240101-000000-broken cannot be read" in trouble(pilot)
        assert "20240101-000000-gone cannot be read as a run" in trouble(pilot)
        assert "first: 1 trial failed: obd" in trouble(pilot)
        assert "layers: a sensitivity study has no curves" in trouble(pilot)
        assert [curve.label for curve in plot.picture.series] == ["l1-unstructured", "taylor"]

    drive(app_of(root), comparing(story, runs))


def test_nothing_but_unreadable_runs_is_no_crash(root: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert "None of these runs can be read" in str(plot.query_one(ChartView).render())
        await pilot.press("x", "right", "enter", "2", "enter", "c", "escape")

    drive(app_of(root), comparing(story))


def test_runs_of_one_name_are_told_apart_and_read_again_when_they_change(root: Path):
    first, second = fake_run(root, "same aa"), fake_run(root, "same bb")
    for run in (first, second):
        run.write_status(replace(run.status(), name="same"))
    look = CompareLook(root, [first.id, second.id])
    before = look()
    assert before.names == ("same aa", "same bb")
    assert look() is before
    second.write_rows(study_rows())
    assert len(look().lines) == 5


def test_only_what_differs_is_shown():
    left = {
        "name": "a", "seeds": [0, 1], "train": {"lr": 0.1, "epochs": 4},
        "methods": [{"name": "l1"}, {"name": "taylor", "scope": "global"}, {"name": "taylor", "scope": "local"}],
    }  # fmt: skip
    right = {
        "name": "b", "seeds": [0, 1], "train": {"lr": 0.2, "epochs": 4}, "layers": {"floor": 0.1},
        "methods": [{"name": "taylor", "scope": "local"}, {"name": "random", "round_to": 8}],
    }  # fmt: skip
    assert differences([left, right]) == [
        ("train.lr", ("0.1", "0.2")),
        ("methods", ("l1, taylor x2", "taylor, random")),
        ("layers.floor", ("-", "0.1")),
        ("taylor: scope", ("global", "local")),
    ]
    assert differences([left, left]) == []
    assert differences([left]) == []


def test_what_methods_take_from_the_study_is_one_difference():
    def study(schedule: str, own: str) -> dict[str, object]:
        methods = [{"name": "taylor", "schedule": schedule}, {"name": "l1", "schedule": own}]
        return {"schedule": schedule, "methods": methods}

    assert differences([study("one-shot", "one-shot"), study("iterative", "gradual")]) == [
        ("schedule", ("one-shot", "iterative")),
        ("l1: schedule", ("one-shot", "gradual")),
    ]
