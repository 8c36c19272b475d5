"""No word of a run from elsewhere reaches the terminal as anything but text, on any screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.segment import Segment
from textual.color import Color
from textual.pilot import Pilot

from prunetui import events
from prunetui.store import list_runs
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare, OpenLive, OpenResults
from prunetui.tui.printable_filter import PrintableFilter
from prunetui.tui.screens.results.results_screen import ResultsScreen

from .fakes import failed_row, fake_row, fake_run, layer_rows, training, until

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\r\nb\u202e[red]x[/red][@click=app.quit]y[/]\x7f"
STYLES = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d+;\d+H")
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def sent(pilot: Pilot[Any]) -> str:
    """What the whole screen is to the terminal, without the colours and moves that are ours."""
    update = pilot.app.screen._compositor.render_full_update()
    return STYLES.sub("", update.render_segments(pilot.app.console))


async def shown(pilot: Pilot[Any]) -> None:
    """Wait until what was read is on the screen."""
    await pilot.pause()
    await until(pilot, lambda: "reading" not in sent(pilot) and "\\x1b" in sent(pilot), 30)
    await pilot.pause(0.3)


def harmless(pilot: Pilot[Any], *words: str) -> None:
    told = sent(pilot)
    assert not RAW.search(told), repr(told)
    for word in words:
        assert word in told


@pytest.fixture
def evil(root: Path) -> Path:
    """Two runs of which every word is hostile."""
    rows = [fake_row(m, s, label=f"{m} {EVIL}") for m in ("taylor", "nm") for s in (0.5, 0.9)]
    rows += [failed_row("taylor", EVIL, label=EVIL, trial=EVIL)]
    told = [events.RunStarted("x", EVIL, False), *training(EVIL), events.Log("warning", EVIL)]
    told += [events.StepStarted("k2", "Train", EVIL, EVIL, 1)]
    about = {"model": EVIL, "data": EVIL, "methods": (EVIL,), "device": EVIL, "message": EVIL}
    fake_run(root, "evil", rows=rows, told=told, **about)
    fake_run(root, "live", state="running", rows=rows, told=told, **about)
    fake_run(root, "layers", rows=[{**row, "label": f"{EVIL} x"} for row in layer_rows((EVIL, "fc"))], **about)
    for run, status in list_runs(root):
        assert status is not None
        run.write_status(replace(status, name=EVIL))
    return root


def test_every_screen_sends_harmless_text(evil: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, PrunetuiApp)
        await until(pilot, lambda: app.session.entries is not None)
        await shown(pilot)
        harmless(pilot, "a\\x1b]0;owned\\x07")
        app.notify(EVIL)
        await pilot.pause()
        harmless(pilot)
        for name in ("evil", "layers"):
            app.post_message(OpenResults(f"20240101-000000-{name}"))
            await shown(pilot)
            harmless(pilot, "\\x1b")
            if name == "evil":
                assert isinstance(app.screen, ResultsScreen)
                await pilot.press("2", "enter")
                await shown(pilot)
                harmless(pilot, "\\x1b")
                await pilot.press("escape")
            await pilot.press("escape")
        app.post_message(OpenLive("20240101-000000-live"))
        await shown(pilot)
        for pane in "1234":
            await pilot.press(pane)
            await pilot.pause()
            harmless(pilot, "\\x1b")
        await pilot.press("escape")
        app.post_message(OpenCompare(["20240101-000000-evil", "20240101-000000-live"]))
        await shown(pilot)
        harmless(pilot, "\\x1b")
        assert app.is_running  # nothing that was written there was done

    drive(app_of(evil), story, (120, 40))


def test_what_is_drawn_keeps_its_width_and_what_is_plain_is_left_alone():
    plain = [Segment("a é 日 ⣿ │")]
    assert PrintableFilter().apply(plain, Color(0, 0, 0)) is plain
    made = PrintableFilter().apply([Segment("a\x1bb\u202ec\x07"), Segment("d")], Color(0, 0, 0))
    assert "".join(segment.text for segment in made).rstrip() == "abcd"
    assert sum(segment.cell_length for segment in made) == sum(
        segment.cell_length for segment in (Segment("a\x1bb\u202ec\x07"), Segment("d"))
    )
