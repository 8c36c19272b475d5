"""The results of a run: every key, and what is told where something is missing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenResults
from prunetui.tui.screens.results.layer_sensitivities import LayerSensitivities
from prunetui.tui.screens.results.results_screen import ResultsScreen
from prunetui.tui.screens.trial.trial_screen import TrialScreen
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.filtered import Filtered
from prunetui.tui.widgets.legend import Legend
from prunetui.tui.widgets.plot import Plot
from prunetui.tui.widgets.trials_table import Trials

from .fakes import failed_row, fake_row, fake_run, layer_rows, settle, study_rows

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
RUN = "20240101-000000-first"


def words(pilot: Pilot[Any], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).content)


def results(story: Callable[[Pilot[Any], Plot], Any]) -> Callable[[Pilot[Any]], Any]:
    """A story that begins on the results of the first run."""

    async def told(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenResults(RUN))
        await pilot.pause()
        await settle(pilot)
        await story(pilot, pilot.app.screen.query_one(Plot))

    return told


def test_x_and_y_put_other_figures_on_the_axes_and_are_remembered(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())
    app = app_of(root)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert plot.heading == "top-1 against sparsity"
        assert plot.picture.level == 92.0
        seen = []
        for key in "xxxxx":
            await pilot.press(key)
            seen.append(plot.x_axis.key)
        assert seen == ["params", "macs", "bytes", "latency_ms", "sparsity"]
        await pilot.press("x", "Y")
        assert plot.heading == "loss against parameters"
        assert plot.picture.level is None
        await pilot.press("y", "y", "y")
        assert plot.heading == "points lost against parameters"
        assert plot.picture.series[0].y == pytest.approx((2.5, 14.58))
        assert (app.session.settings.chart_x, app.session.settings.chart_y) == ("params", "drop")

    drive(app, results(story))


def test_a_figure_that_was_not_measured_is_told(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=[row for row in study_rows() if row["method"] != "taylor"])

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("X")
        await settle(pilot)
        assert "Nothing has top-1 against latency" in str(plot.query_one(ChartView).render())

    drive(app_of(root), results(story))


def test_masks_have_no_point_on_the_axis_of_latency_and_the_screen_says_why(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("X")
        await settle(pilot)
        assert [(curve.label, len(curve.x)) for curve in plot.picture.series] == [("l1-unstructured", 0), ("taylor", 2)]
        assert words(pilot, ".point").startswith("No points for l1-unstructured: masks, no speed-up in this runtime.")
        await pilot.press("x", "right")
        assert words(pilot, ".point").endswith("1 seed, no speed-up in this runtime")

    drive(app_of(root), results(story))


def test_latency_of_128_and_macs_without_zeros_are_offered_where_they_are_known(root: Path, app_of: App, drive: Drive):
    more = {"latency128_ms": 12.5, "macs_nonzero": 100}
    fake_run(root, "first", rows=[{**row, **more} for row in study_rows()])

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        seen = []
        for key in "xxxxxxx":
            await pilot.press(key)
            seen.append(plot.x_axis.key)
        assert seen == ["params", "macs", "macs_nonzero", "bytes", "latency_ms", "latency128_ms", "sparsity"]

    drive(app_of(root), results(story))


def test_the_cursor_moves_within_a_series_and_between_them_and_tells_its_point(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows(seeds=(0, 1)))

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert "Arrow keys" in words(pilot, ".point")
        await pilot.press("right")
        assert plot.told_point().startswith("l1-unstructured sparsity:0.5: top-1 89.75 ±0.35 %, sparsity 0.5000")
        assert plot.told_point().endswith("2 seeds, no speed-up in this runtime")
        await pilot.press("right", "right")
        assert plot.picture.cursor == pytest.approx((0.9, 77.67))
        await pilot.press("down")
        assert plot.picture.cursor == pytest.approx((0.9, 74.67))
        await pilot.press("left", "left_square_bracket")
        assert plot.picture.cursor == pytest.approx((0.5, 89.75))
        await pilot.press("x")
        assert "70.00k parameters" in words(pilot, ".point")

    drive(app_of(root), results(story))


def test_the_view_zooms_pans_and_comes_back(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        whole = plot.picture.bounds()
        await pilot.press("plus")
        near = plot.picture.bounds()
        assert near[1] - near[0] == pytest.approx(0.8 * (whole[1] - whole[0]))
        await pilot.press("shift+right")
        assert plot.picture.bounds()[0] > near[0]
        await pilot.press("h", "ctrl+up")
        assert plot.picture.bounds()[:2] == pytest.approx(near[:2])
        assert plot.picture.bounds()[2] > near[2]
        await pilot.press("plus", "plus", "plus", "right", "right", "right")
        left, right, low, high = plot.picture.bounds()
        x, y = plot.picture.cursor
        assert left <= x <= right
        assert low <= y <= high
        await pilot.press("0")
        assert plot.picture.bounds() == pytest.approx(whole)
        await pilot.press("o")
        assert plot.picture.log_x
        assert "(log)" in plot.heading

    drive(app_of(root), results(story))


def test_the_front_joins_what_no_other_result_beats(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("f")
        assert plot.picture.front == ((0.5, 89.5), (0.9, 77.42))
        await pilot.press("right")
        assert "on the front" in plot.told_point()
        await pilot.press("f")
        assert plot.picture.front == ()

    drive(app_of(root), results(story))


def test_methods_are_hidden_and_shown_from_the_legend(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("m", "down", "space")
        assert plot.picture.hidden == {"taylor"}
        await pilot.press("enter")
        assert plot.picture.hidden == {"l1-unstructured"}
        await pilot.press("a")
        assert plot.picture.hidden == frozenset()
        await pilot.press("space", "up", "space")
        await settle(pilot)
        assert "All methods are hidden" in str(plot.query_one(ChartView).render())
        await pilot.press("escape")
        assert plot.query_one(ChartView).has_focus
        assert isinstance(pilot.app.screen, ResultsScreen)
        await pilot.click(Legend, offset=(1, 0))
        assert plot.picture.hidden == {"taylor"}

    drive(app_of(root), results(story))


def test_tab_and_digits_switch_between_chart_and_trials_on_a_small_terminal(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        trials = pilot.app.screen.query_one(Filtered)
        assert (plot.display, trials.display) == (True, False)
        for key, front in (("tab", trials), ("tab", plot), ("2", trials), ("1", plot), ("2", trials), ("y", plot)):
            await pilot.press(key)
            assert front.display, key
            assert front.has_focus_within, key
            assert plot.display != trials.display
        await pilot.resize_terminal(120, 40)
        await settle(pilot)
        assert plot.display
        assert trials.display
        await pilot.resize_terminal(160, 24)
        await settle(pilot)
        assert plot.display
        assert trials.display

    drive(app_of(root), results(story))


def test_trials_are_filtered_and_sorted(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=[*study_rows(), failed_row("obd", "ValueError: singular", target="sparsity:0.7")])

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        table = pilot.app.screen.query_one(Trials)
        assert "1 trial failed: obd sparsity:0.7: ValueError: singular" in words(pilot, "#trouble")
        await pilot.press("slash", *"status:failed", "enter")
        assert [row["trial"] for row in table.rows] == ["obd-0.5-s0"]
        assert pilot.app.screen.query_one(Filtered).border_subtitle == "1 of 6"
        await pilot.press("escape")
        assert len(table.rows) == 6
        table.sort_by("top1")
        assert [row["method"] for row in table.rows][:2] == ["obd", "taylor"]
        await pilot.press("s", "down", "down", "enter")
        await pilot.pause()
        assert table.sorted_by == ("seed", False)
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, ResultsScreen)

    drive(app_of(root), results(story))


def test_enter_opens_a_trial_from_the_table_and_from_the_chart(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows(seeds=(0, 1)))

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("right", "right", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, TrialScreen)
        assert [row["trial"] for row in pilot.app.screen.rows] == ["l1-unstructured-0.9-s0", "l1-unstructured-0.9-s1"]
        await pilot.press("escape", "2", "end", "enter")
        await settle(pilot)
        assert pilot.app.screen.row["trial"] == "taylor-0.9-s1"

    drive(app_of(root), results(story))


@pytest.mark.parametrize(
    ("downs", "name"),
    [(0, "top1-sparsity.svg"), (1, "trials.csv"), (2, "trials.md"), (3, "report.html"), (4, "top1-sparsity.png")],
    ids=["svg", "csv", "md", "html", "png"],
)
def test_chart_and_table_are_saved_into_the_folder_of_the_start(
    root: Path, app_of: App, drive: Drive, tmp_path: Path, downs: int, name: str
):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        for _ in range(2):
            await pilot.press("w", *["down"] * downs, "enter")
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
        assert any(name.partition(".")[0] in note.message for note in pilot.app._notifications)

    drive(app_of(root), results(story))
    first, second = sorted(tmp_path.glob(f"{RUN}*"))
    assert {first.name, second.name} == {f"{RUN}-{name}", f"{RUN}-{name.replace('.', '-2.')}"}
    if name.endswith("png"):
        assert first.read_bytes().startswith(b"\x89PNG")
        return
    text = first.read_text(encoding="utf-8")
    if name.endswith("svg"):
        assert "taylor" in "".join(ElementTree.fromstring(text).itertext())
    elif name.endswith("html"):
        assert text.startswith("<!DOCTYPE html>")
        assert "taylor" in text
        assert text.rstrip().endswith("</html>")
    elif name.endswith("csv"):
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["trial"] for row in rows] == [row["trial"] for row in study_rows()]
    else:
        assert text.splitlines()[2].startswith("| dense-4ep | sparsity:0 |")


def test_what_cannot_be_saved_is_told(root: Path, app_of: App, drive: Drive, monkeypatch: pytest.MonkeyPatch):
    fake_run(root, "first", rows=study_rows())

    def full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prunetui.tui.saving.save", full)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("w", "enter")
        await pilot.pause()
        assert [note.message for note in pilot.app._notifications] == ["Nothing was saved: No space left on device"]

    drive(app_of(root), results(story))


def test_point_and_table_are_copied_to_the_terminal(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=study_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        await pilot.press("c")
        assert pilot.app.clipboard == ""
        await pilot.press("right", "c")
        assert pilot.app.clipboard.startswith("l1-unstructured sparsity:0.5: top-1 89.50")
        await pilot.press("2", "c")
        assert pilot.app.clipboard.count("\n") == 2 + len(study_rows())

    drive(app_of(root), results(story))


def test_a_sensitivity_study_shows_layers_instead_of_a_chart(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", rows=layer_rows())

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        layers = pilot.app.screen.query_one(LayerSensitivities)
        assert not plot.display
        assert layers.has_focus
        assert [column.title for column in layers.columns] == ["layer", "0.5", "0.9"]
        assert [str(layers.columns[1].cell(row)) for row in layers.rows] == ["86.50", "86.50"]
        await pilot.press("y")
        assert "before recovery" in pilot.app.screen.query_one("#layers").border_title
        await pilot.press("down", "enter")
        assert [row["layer"] for row in pilot.app.screen.query_one(Trials).rows] == ["fc", "fc"]
        await pilot.press("1", "c")
        assert pilot.app.clipboard.startswith("| layer | 0.5 | 0.9 |")

    drive(app_of(root), results(story))


@pytest.mark.parametrize(
    ("state", "rows", "status", "expected"),
    [
        ("running", [], {}, "No trial is finished yet"),
        ("failed", [], {"message": "disk full"}, "No trial succeeded: disk full"),
        ("done", [failed_row("obd", "ValueError: no")], {}, "No trial succeeded: ValueError: no"),
        ("interrupted", [], {}, "was interrupted before a trial was finished"),
        ("done", [fake_row("dense", 0.0)], {}, "Only the dense network"),
    ],
)
def test_an_empty_chart_says_why(
    root: Path, app_of: App, drive: Drive, state: str, rows: list[Any], status: dict[str, Any], expected: str
):
    fake_run(root, "first", state, rows, **status)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert expected in str(plot.query_one(ChartView).render())
        await pilot.press("right", "enter", "plus", "f", "m", "space", "c", "2", "enter", "down", "c")

    drive(app_of(root), results(story))


def test_a_folder_that_is_no_run_is_told(root: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert "cannot be read as a run" in str(plot.query_one(ChartView).render())

    drive(app_of(root), results(story))


def test_results_that_are_no_table_are_told(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first")
    (run.folder / "results.csv").write_text("what,is\nthis,?\n")

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert "results.csv is damaged (the column trial is missing)" in words(pilot, "#trouble")

    drive(app_of(root), results(story))


def test_a_run_that_goes_on_brings_new_results_and_the_cursor_stays(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", study_rows()[:3])

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert [curve.label for curve in plot.picture.series] == ["l1-unstructured"]
        await pilot.press("right", "right")
        run.write_rows(study_rows())
        for _ in range(100):
            await pilot.pause(0.05)
            if len(plot.picture.series) == 2:
                break
        assert plot.picture.cursor == pytest.approx((0.9, 77.42))
        assert len(pilot.app.screen.query_one(Trials).rows) == 5

    drive(app_of(root), results(story))


def test_two_thousand_trials_are_shown_at_once(root: Path, app_of: App, drive: Drive):
    rows = [fake_row(f"m{i % 25}", 0.1 + (i // 25) / 1000, seed=0) for i in range(2000)]
    fake_run(root, "first", rows=rows)

    async def story(pilot: Pilot[Any], plot: Plot) -> None:
        assert len(pilot.app.screen.query_one(Trials).rows) == 2000
        await pilot.press("right", "down", "x", "2", "end")
        assert pilot.app.screen.query_one(Trials).cursor == 1999

    drive(app_of(root), results(story))
