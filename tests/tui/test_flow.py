"""From an idea to a network taken home, by keys alone: configure, start, watch, results, compare, export.

No training: what a run's process would write is written into the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from prunetui import events
from prunetui.store import Run
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenResults
from prunetui.tui.screens.compare.compare_screen import CompareScreen
from prunetui.tui.screens.configure.configure_screen import ConfigureScreen
from prunetui.tui.screens.live.live_screen import LiveScreen
from prunetui.tui.screens.results.results_screen import ResultsScreen
from prunetui.tui.screens.runs.runs_screen import RunsScreen
from prunetui.tui.screens.trial.trial_screen import TrialScreen

from .fakes import fake_run, small_model, study_rows, until


def on(pilot: Pilot[Any], screen: type) -> Callable[[], bool]:
    return lambda: isinstance(pilot.app.screen, screen)


def executed(run: Run) -> None:
    """What the process of a run leaves behind."""
    rows = study_rows()
    with run.appender() as tell:
        tell(events.RunStarted(run.id, "cpu", False))
        for row in rows:
            tell(events.TrialFinished(row["trial"], "done", row))
        tell(events.RunFinished("done"))
    run.write_rows(rows)
    small_model(run)
    status = run.status()
    assert status is not None
    run.write_status(replace(status, state="done", done=len(rows), trials=len(rows), dense=92.0, best=91.5))


def test_from_a_study_to_a_network_taken_home(
    root: Path,
    app_of: Callable[..., PrunetuiApp],
    drive: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fake_run(root, "older", rows=study_rows())
    exported: list[tuple[str, str, str]] = []

    def export(folder: Path, trial: str, kind: str, output: Path, trust: bool) -> tuple[bool, str]:
        exported.append((folder.name, trial, kind))
        return True, f"saved as {output.name}; checked"

    monkeypatch.setattr("prunetui.tui.screens.trial.model_export.export", export)

    async def story(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, PrunetuiApp)
        await until(pilot, lambda: app.session.entries is not None)
        await pilot.press("n")
        await until(pilot, on(pilot, ConfigureScreen))
        await until(pilot, lambda: getattr(app.screen, "checked", None) and app.screen.checked.study)
        await pilot.press("s")
        await until(pilot, on(pilot, LiveScreen), 20)
        run = Run(root / app.screen.run_id)
        assert app.session.queue.waiting == (run.id,)
        app.session.queue.take()
        executed(run)
        await until(pilot, lambda: app.screen.view is not None and app.screen.view.state == "done")
        await pilot.press("r")
        await until(pilot, on(pilot, ResultsScreen))
        while not isinstance(app.screen, RunsScreen):
            await pilot.press("escape")
            await pilot.pause()
        await until(pilot, lambda: len(app.screen.table.rows) == 2)
        app.screen.table.focus()
        await pilot.press("g", "space", "space", "c")
        await until(pilot, on(pilot, CompareScreen))
        await until(pilot, lambda: app.screen.comparison is not None)
        await pilot.press("escape")
        await until(pilot, on(pilot, RunsScreen))
        app.post_message(OpenResults(run.id))
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen.results is not None)
        await pilot.press("2", "enter")
        await until(pilot, on(pilot, TrialScreen))
        trial = app.screen.row["trial"]
        await pilot.press("e", "down", "enter")
        await until(pilot, lambda: exported)
        assert exported == [(run.id, trial, "onnx")]
        await until(pilot, lambda: any("saved as" in note.message for note in app._notifications))

    drive(app_of(root), story, (120, 40))


def test_what_the_exporting_process_finds_wrong_is_told(tmp_path: Path) -> None:
    from prunetui.tui.screens.trial.model_export import export

    fine, told = export(tmp_path, "no-trial", "pt2", tmp_path / "x.pt2")
    assert not fine
    assert "no run" in told
