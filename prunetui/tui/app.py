"""The application: themes, the thread that looks at the runs, the queue's thread, and the way between screens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen

from prunetui.execute.launcher import Runner
from prunetui.store import Run
from prunetui.terminal.printable import own_lines
from prunetui.tui.feed import Feed, settle
from prunetui.tui.navigation import OpenCompare, OpenConfigure, OpenLive, OpenResults, OpenRun, OpenTrial
from prunetui.tui.preload import preload
from prunetui.tui.printable_filter import PrintableFilter
from prunetui.tui.run_ends import ends
from prunetui.tui.runs_look import RUNS_SECONDS, RunsLook
from prunetui.tui.screens.following import is_covered
from prunetui.tui.session import Session
from prunetui.tui.themes import NAMES, THEMES
from prunetui.tui.views import Entry

PRELOAD_SECONDS = 0.3
"""After which the first screen is there, and modules are loaded for the others."""


@runtime_checkable
class ShowsRuns(Protocol):
    """A screen of which something depends on the list of runs."""

    def show_runs(self, entries: tuple[Entry, ...]) -> None: ...


class RunsChanged(Message):
    """The list of runs is another."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        super().__init__()


class PrunetuiApp(App[int]):
    """Opens on the runs of a folder; everything else is a screen on top."""

    TITLE = "prunetui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q,ctrl+c", "leave", "Quit", show=False, priority=True),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("ctrl+t", "next_theme", "Theme", show=False),
    ]

    def __init__(
        self,
        root: Path,
        device: str = "auto",
        watch: str = "",
        ascii_only: bool = False,
        settings: Path | None = None,
        now: Callable[[], float] = time.time,
        serve: bool = True,
    ) -> None:
        super().__init__()
        self.session = Session(root, device, ascii_only, settings, now)
        self._watch = watch
        self.runner = Runner(root, device)
        self._serve = serve
        self._feed = Feed(RunsLook(root), self._tell_runs, RUNS_SECONDS)
        self._printable = PrintableFilter()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Those of Textual, and ours behind them: all that is drawn goes through it."""
        return [*super().get_line_filters(), self._printable]

    def on_mount(self) -> None:
        from prunetui.tui.screens.runs.runs_screen import RunsScreen

        for theme in THEMES:
            self.register_theme(theme)
        chosen = self.session.settings.theme
        self.theme = chosen if chosen in NAMES else NAMES[0]
        self.push_screen(RunsScreen(self.session))
        self._feed.start()
        settle()
        self.set_timer(PRELOAD_SECONDS, threading.Thread(target=preload, name="preload", daemon=True).start)
        if self._serve:
            self.runner.start()
        if self._watch:
            self.post_message(OpenRun(self._watch))

    def _tell_runs(self, entries: tuple[Entry, ...]) -> None:
        if self.is_running:
            self.post_message(RunsChanged(entries))

    def on_runs_changed(self, message: RunsChanged) -> None:
        for words, severity in ends(self.session.entries or (), message.entries):
            self.notify(words, severity=severity, timeout=8)  # wherever the user is
        self.session.entries = message.entries
        for screen in self.screen_stack:
            if isinstance(screen, ShowsRuns) and not is_covered(screen):
                screen.show_runs(message.entries)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Tell something in a corner; always as plain text, for a run may be called ``[/]``."""
        super().notify(own_lines(message), title=title, severity=severity, timeout=timeout, markup=False)

    def on_store_changed(self) -> None:
        self._feed.nudge()

    # Where to go ----------------------------------------------------------------------------------

    def on_open_run(self, message: OpenRun) -> None:
        status = Run(self.session.root / message.run).status()
        live = status is None or status.state in ("running", "queued")
        self.post_message((OpenLive if live else OpenResults)(message.run))

    def on_open_live(self, message: OpenLive) -> None:
        from prunetui.tui.screens.live.live_screen import LiveScreen

        self.push_screen(LiveScreen(self.session, message.run))

    def on_open_results(self, message: OpenResults) -> None:
        from prunetui.tui.screens.results.results_screen import ResultsScreen

        self.push_screen(ResultsScreen(self.session, message.run))

    def on_open_trial(self, message: OpenTrial) -> None:
        from prunetui.tui.screens.trial.trial_screen import TrialScreen

        ascii_only = self.session.settings.ascii
        self.push_screen(TrialScreen(message.view, message.rows, message.place, ascii_only))

    def on_open_compare(self, message: OpenCompare) -> None:
        from prunetui.tui.screens.compare.compare_screen import CompareScreen

        self.push_screen(CompareScreen(self.session, message.runs))

    def on_open_configure(self, message: OpenConfigure) -> None:
        from prunetui.tui.screens.configure.configure_screen import ConfigureScreen

        self.push_screen(ConfigureScreen(self.session, message.start))

    # Actions --------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """The keys of this place."""
        from prunetui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_next_theme(self) -> None:
        """The next of the themes."""
        place = NAMES.index(self.theme) if self.theme in NAMES else -1
        self._use_theme(NAMES[(place + 1) % len(NAMES)])

    def _use_theme(self, name: str) -> None:
        self.theme = name
        self.session.remember(theme=name)

    def action_leave(self) -> None:
        """Quit; asks what becomes of a study that is being written, and of a run that was started here."""
        from prunetui.tui.screens.configure.unsaved import UnsavedScreen

        if not any(getattr(screen, "unsaved", False) for screen in self.screen_stack):
            self._leave()
        elif not isinstance(self.screen, UnsavedScreen):
            self.push_screen(UnsavedScreen(), lambda answer: self._leave() if answer == "leave" else None)

    def _leave(self) -> None:
        from prunetui.tui.screens.leave import LeaveScreen, carry_out

        running = [entry for entry in self.session.entries or () if self._still_runs(entry)]
        if not running:
            self.exit(0)
        elif not isinstance(self.screen, LeaveScreen):

            def left(answer: str | None) -> None:
                if carry_out(answer, running):
                    self.exit(0)

            self.push_screen(LeaveScreen(running, len(self.session.queue.waiting)), left)

    def _still_runs(self, entry: Entry) -> bool:
        """Whether a run of the list runs now: the list may be a moment old."""
        status = Run(entry.folder).status() if entry.status and entry.status.state == "running" else None
        return status is not None and status.state == "running"

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Everything that has a key here, and the themes, in the command palette."""
        yield SystemCommand("Quit", "Leave prunetui; what runs may go on", self.action_leave)
        yield SystemCommand("Help", "The keys of this place", self.action_help)
        yield SystemCommand("New study", "Configure and start a study", lambda: self.post_message(OpenConfigure()))
        for theme in NAMES:
            yield SystemCommand(f"Theme {theme}", "Change colours", lambda name=theme: self._use_theme(name))
        from prunetui.tui.palette import key_commands

        yield from key_commands(self, screen)

    def on_unmount(self) -> None:
        self._feed.close()
        self.session.close()
        if self._serve:
            self.runner.close()


def run_app(root: Path, device: str, watch: str, ascii_only: bool) -> int:
    """Run the application; returns the exit code."""
    app = PrunetuiApp(root, device, watch, ascii_only)
    code = app.run()
    return code if isinstance(code, int) else app.return_code or 0
