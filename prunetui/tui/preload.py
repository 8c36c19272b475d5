"""Modules that are loaded once the first frame is there, for what the user may do next."""

from __future__ import annotations

from importlib import import_module

from prunetui.tui.feed import settle

SCREENS = (
    "live.live_screen", "results.results_screen", "configure.configure_screen", "compare.compare_screen",
    "trial.trial_screen", "help", "leave",
)  # fmt: skip


def preload() -> None:
    """For a thread: to import a screen when its key is pressed holds everything up for 50 ms."""
    for name in SCREENS:
        import_module(f"prunetui.tui.screens.{name}")
    for name in ("plotext", "psutil"):
        import_module(name)
    settle(at_once=True)
