"""One trial: its numbers, its layers, its trainings; and what is told where one of them is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from prunetui.cli.pack_run import export_runs
from prunetui.metrics import CLASSIFICATION
from prunetui.results.inspect_model import Histogram
from prunetui.store import Run
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.run_look import RunLook
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.screens.trial.layer_summaries import LayerSummaries
from prunetui.tui.screens.trial.trial_numbers import numbers
from prunetui.tui.screens.trial.trial_screen import TrialScreen
from prunetui.tui.screens.trial.weight_histogram import Bars, bars
from prunetui.tui.widgets.chart_view import ChartView

from .fakes import failed_row, fake_row, fake_run, settle, small_model, study_rows, training

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]


def trial_of(run: Any, place: int, story: Callable[[Pilot[Any], TrialScreen], Any]) -> Callable[[Pilot[Any]], Any]:
    """A story that begins at the trial of a row."""

    async def told(pilot: Pilot[Any]) -> None:
        view = RunLook(run)()
        screen = TrialScreen(view, view.rows, place)
        pilot.app.push_screen(screen)
        await pilot.pause()
        await settle(pilot)
        await story(pilot, screen)

    return told


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("it did not come")


def plain(screen: Screen[Any], selector: str) -> str:
    console = Console(width=100)
    with console.capture() as said:
        console.print(screen.query_one(selector, Static).content)
    return said.get()


def test_a_trial_tells_its_numbers_layers_and_trainings(root, app_of: App, drive: Drive):
    told = [*training("taylor-0.5-s0"), *training("dense-4ep-s0", "k2")]
    run = fake_run(root, "first", rows=study_rows(), told=told)
    small_model(run)

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        assert "35.00k  50.0 % of dense" in plain(screen, "#figures")
        table = screen.query_one(LayerSummaries)
        assert [column.cell(table.rows[0]) for column in table.columns[:2]] == ["conv1", "8>4"]
        assert screen.query_one("#weights").border_title == "3 weights of conv1"
        await pilot.press("2", "down")
        assert screen.query_one("#weights").border_title == "3 weights of fc"
        assert "zeros" in screen.query_one("#weights").border_subtitle
        await pilot.press("4")
        chart = screen.query_one(ChartView)
        assert [curve.label for curve in chart.picture.series] == ["1. train 3 epochs: 83.33"]
        await pilot.press("y")
        assert [curve.y for curve in chart.picture.series] == [(2.0, 1.0, 2.0 / 3)]
        await pilot.press("c")
        assert "method: taylor\n" in pilot.app.clipboard

    drive(app_of(root), trial_of(run, 3, story))


def test_a_run_packed_without_its_networks_still_shows_its_layers(root, app_of: App, drive: Drive, tmp_path):
    run = fake_run(root, "first", rows=study_rows(), told=training("taylor-0.5-s0"))
    small_model(run)
    (packed,) = export_runs(root, ["first"], tmp_path / "packs")

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        assert "Packed without its network: layers only." in plain(screen, "#why")
        table = screen.query_one(LayerSummaries)
        assert [column.cell(table.rows[0]) for column in table.columns[:2]] == ["conv1", "8>4"]
        await pilot.press("2", "down")
        assert screen.query_one("#weights").border_title == "3 weights of fc"
        assert screen.query_one(Bars).histogram is None

    drive(app_of(root), trial_of(Run(packed), 3, story))


def test_n_and_p_step_through_the_trials(root, app_of: App, drive: Drive):
    run = fake_run(root, "first", rows=[*study_rows(), failed_row("obd", "ValueError: singular")])
    small_model(run)

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        assert screen.model is not None
        await pilot.press("p")
        await settle(pilot)
        assert screen.row["trial"] == "obd-0.5-s0"
        assert screen.model is None
        assert "was not finished" in plain(screen, "#why")
        assert "ValueError: singular" in plain(screen, "#figures")
        await pilot.press("n", "n")
        await settle(pilot)
        assert screen.row["trial"] == "l1-unstructured-0.5-s0"
        assert "there is no l1-unstructured-0.5-s0.safetensors" in plain(screen, "#why")

    drive(app_of(root), trial_of(run, 0, story))


@pytest.mark.parametrize(("answer", "exported"), [("enter", [True]), ("escape", [])])
def test_code_that_a_run_names_is_run_only_after_a_question(
    root, app_of: App, drive: Drive, monkeypatch: pytest.MonkeyPatch, answer: str, exported: list[bool]
):
    run = fake_run(root, "first", rows=study_rows(), model="net.py:make")
    trusted: list[bool] = []

    def fake(folder: Path, trial: str, kind: str, output: Path, trust: bool) -> tuple[bool, str]:
        trusted.append(trust)
        return True, "saved"

    monkeypatch.setattr("prunetui.tui.screens.trial.model_export.export", fake)

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("enter")
        await until(pilot, lambda: "The run names code of net.py:make" in plain(pilot.app.screen, ".note"))
        assert trusted == []
        await pilot.press(answer)
        await settle(pilot)
        assert trusted == exported

    drive(app_of(root), trial_of(run, 0, story))


def test_one_pane_at_a_time_on_a_small_terminal_and_all_on_a_large_one(root, app_of: App, drive: Drive):
    run = fake_run(root, "first", rows=study_rows())
    panes = ("numbers", "layers", "weights", "training")

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        def shown() -> list[str]:
            return [name for name in panes if screen.query_one(f"#{name}").display]

        assert shown() == ["numbers"]
        await pilot.press("tab")
        assert shown() == ["layers", "weights"]
        await pilot.press("3")
        assert shown() == ["weights"]
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert shown() == list(panes)
        await pilot.press("escape")
        assert pilot.app.screen is not screen

    drive(app_of(root), trial_of(run, 0, story))


def test_a_training_of_others_is_said_to_be_so(root, app_of: App, drive: Drive):
    run = fake_run(root, "first", rows=study_rows(), told=training("dense-4ep-s0"))

    async def story(pilot: Pilot[Any], screen: TrialScreen) -> None:
        await pilot.press("4")
        await settle(pilot)
        assert "No training was done for this trial alone" in str(screen.query_one(ChartView).render())

    drive(app_of(root), trial_of(run, 3, story))


def test_numbers_leave_out_what_is_not_known():
    told = dict(numbers(failed_row("obd", "ValueError: no"), {}, CLASSIFICATION))
    assert told == {
        "status": "failed", "error": "ValueError: no", "method": "obd", "schedule": "one-shot",
        "target": "sparsity:0.5", "seed": "0",
    }  # fmt: skip
    full = dict(numbers(fake_row("taylor", 0.5), fake_row("dense", 0.0), CLASSIFICATION))
    assert full["parameters"] == "35.00k  50.0 % of dense"
    assert full["points lost"] == "5.50"
    assert (full["latency"], full["timed with"]) == ("0.300 ms", "onnxruntime 1.20.0")


def test_numbers_tell_latency_with_its_range_and_of_masks_that_there_is_none():
    times = {"latency_iqr_ms": 0.01, "latency128_ms": 21.5, "latency128_iqr_ms": 0.25, "latency_cuda_ms": 1.25}
    told = dict(numbers(fake_row("taylor", 0.5, **times), {}, CLASSIFICATION))
    assert told["latency"] == "0.300 ms, IQR 0.010"
    assert told["latency of 128"] == "21.500 ms, IQR 0.250"
    assert told["on the GPU"] == "1.250 ms"
    masked = dict(
        numbers(fake_row("l1-unstructured", 0.5, macs_nonzero=320_000), {"macs_nonzero": 640_000}, CLASSIFICATION)
    )
    assert masked["latency"] == "no speed-up in this runtime"
    assert masked["without zeros"] == "320.00k  50.0 % of dense"
    assert "timed with" not in masked


def test_bars_are_as_high_as_their_counts():
    lines = bars(Histogram(0.5, (0, 4, 8, 1)), 12, 3, ascii_only=False)
    assert lines == ["      ███", "   ██████▂▂▂", "-0.5  0  0.5"]
    assert bars(Histogram(0.5, (0, 4, 8, 1)), 12, 3, ascii_only=True)[0] == "      ###"
    assert len(bars(Histogram(1.0, tuple(range(48))), 12, 4, ascii_only=False)[2]) == 12
