"""Applications with a fixed clock, on nobody's settings, that start nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from prunetui.tui.app import PrunetuiApp

from .fakes import NOW


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's shell or home reaches a screen; files are saved into the test's folder."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL", "TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def app_of(tmp_path: Path) -> Callable[..., PrunetuiApp]:
    """Folder of runs -> an application that starts nothing, at ``NOW``."""

    def make(root: Path, **more: Any) -> PrunetuiApp:
        return PrunetuiApp(root, settings=tmp_path / "settings.json", now=lambda: NOW, serve=False, **more)

    return make


@pytest.fixture
def drive() -> Callable[..., None]:
    """Run an application under a pilot: ``drive(app, story, size)``, where ``story`` awaits what the user does."""

    def run(app: PrunetuiApp, story: Callable[[Pilot[Any]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
        async def play() -> None:
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await story(pilot)

        asyncio.run(play())

    return run
