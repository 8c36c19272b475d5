"""The app on runs whose primary metric is another: in the list, on charts, in tables, on the page of a trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from other_metrics import MIOU, PERPLEXITY, run_of
from textual.pilot import Pilot
from textual.widgets import Static

from prunetui.results.axes import y_axes
from prunetui.results.summary import Figure, Sensitivity
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare, OpenLive, OpenResults
from prunetui.tui.screens.compare.comparison_table import Lines
from prunetui.tui.screens.results.layer_sensitivities import LayerSensitivities
from prunetui.tui.screens.runs.runs_table import Runs
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.plot import Plot
from prunetui.tui.widgets.trials_table import Trials

from .fakes import fake_run, settle, study_rows

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
LANGUAGE, SCENES = "20240101-000000-language", "20240101-000000-scenes"


@pytest.fixture
def runs(root: Path) -> Path:
    run_of(root, "language", PERPLEXITY)
    run_of(root, "scenes", MIOU)
    return root


def titles(table: Any) -> list[str]:
    return [column.title for column in table.columns]


def test_the_results_of_a_metric_that_should_be_low(runs: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenResults(LANGUAGE))
        await pilot.pause()
        await settle(pilot)
        plot = pilot.app.screen.query_one(Plot)
        assert plot.heading == "perplexity against sparsity"
        assert "dense 20.00" in str(plot.border_subtitle)
        assert titles(pilot.app.screen.query_one(Trials))[6:9] == ["before", "perplexity", "control"]
        await pilot.press("f", "right", "right", "down")
        assert plot.picture.front == (pytest.approx((0.2, 20.1)), pytest.approx((0.9, 25.2)))
        assert plot.told_point().startswith(
            "careful sparsity:0.9: perplexity 25.20 ±0.20, on the front, sparsity 0.9000"
        )
        seen = []
        for _ in range(5):
            await pilot.press("y")
            seen.append(plot.y_axis.words)
        assert seen == [
            "perplexity before recovery", "perplexity gained", "validation perplexity", "loss", "perplexity",
        ]  # fmt: skip

    drive(app_of(runs), story, (140, 40))


def test_the_choice_of_an_axis_that_a_run_does_not_have_shows_its_primary_metric(runs: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        pilot.app.session.remember(chart_y="top1_before")
        pilot.app.post_message(OpenResults(SCENES))
        await pilot.pause()
        await settle(pilot)
        plot = pilot.app.screen.query_one(Plot)
        assert plot.heading == "mIoU against sparsity"
        assert "calibration error" in titles(pilot.app.screen.query_one(Trials))
        await pilot.press("x")
        settings = pilot.app.session.settings
        assert (settings.chart_x, settings.chart_y) == ("params", "top1_before")  # for runs that have it

    drive(app_of(runs), story, (140, 40))


def test_a_trial_in_numbers(runs: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenResults(LANGUAGE))
        await pilot.pause()
        await settle(pilot)
        await pilot.press("2", "end", "enter")
        await settle(pilot)
        await pilot.press("c")
        found = dict(line.split(": ") for line in pilot.app.clipboard.splitlines())
        assert (found["dense perplexity"], found["after recovery"]) == ("20.00", "25.40")
        assert (found["re-estimated"], found["perplexity gained"]) == ("50.80", "5.40")
        assert found["validation perplexity"] == "26.40"
        assert not {"points lost", "top-5"} & found.keys()

    drive(app_of(runs), story, (140, 50))


def test_the_list_of_runs_names_what_is_not_the_usual_metric(runs: Path, app_of: App, drive: Drive):
    fake_run(runs, "usual", rows=study_rows(), dense=92.0, best=89.5)

    async def story(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        table = pilot.app.screen.query_one(Runs)
        (column,) = (column for column in table.columns if column.key == "best")
        assert {entry.name: column.cell(entry) for entry in table.rows} == {
            "language": "20.00 perplexity", "scenes": "91.00 % mIoU", "usual": "89.50",
        }  # fmt: skip
        assert [entry.name for entry in sorted(table.rows, key=column.order)] == ["scenes", "language", "usual"]

    drive(app_of(runs), story, (160, 40))


def test_a_live_run_is_drawn_by_its_metric(runs: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenLive(LANGUAGE))
        await pilot.pause()
        await settle(pilot)
        screen = pilot.app.screen
        picture = screen.query_one("#accuracy-chart", ChartView).picture
        assert (picture.title, picture.level) == ("perplexity on the test split", 20.0)
        assert str(screen.query_one("#accuracy").border_title) == "1 perplexity"
        assert "dense 20.00" in str(screen.query_one("#legend", Static).content)
        assert "%" not in str(screen.query_one("#legend", Static).content)

    drive(app_of(runs), story, (140, 50))


def test_runs_of_different_metrics_side_by_side(runs: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenCompare([LANGUAGE, SCENES]))
        await pilot.pause()
        await settle(pilot)
        screen = pilot.app.screen
        assert "scenes: its primary metric is mIoU, not perplexity" in str(screen.query_one("#trouble", Static).content)
        assert screen.query_one(Plot).heading == "perplexity against sparsity"
        assert {"perplexity", "mIoU"} <= set(titles(screen.query_one(Lines)))

    drive(app_of(runs), story, (160, 50))


def test_layers_stand_out_by_points_lost_of_what_is_in_percent_only():
    one = Sensitivity("l1", ("conv1",), {"channels:0.5": Figure(30.0, None)}, "")
    styles = {}
    for metrics, dense in ((MIOU, 45.0), (PERPLEXITY, 15.0)):
        table = LayerSensitivities()
        table.show_layers([one], y_axes(metrics)[0], dense, metrics)
        cell: Any = table.columns[-1].cell(one)
        styles[metrics.primary.key] = (cell.plain, str(cell.style))
    assert styles == {"miou": ("30.00", "bold #ff6b5e"), "perplexity": ("30.00", "")}
