"""The application: themes, settings, the queue's thread, and the way between screens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen

from prunetui.execute.launcher import Runner
from prunetui.store import Run
from prunetui.store.queue import Queue
from prunetui.terminal.printable import one_line, own_lines
from prunetui.tui.feed import RUNS_SECONDS, Feed, RunsLook, settle
from prunetui.tui.harmless import Harmless
from prunetui.tui.settings import Keeper, Settings, load_settings, settings_path
from prunetui.tui.themes import NAMES, THEMES
from prunetui.tui.views import Entry

ENDS: dict[str, tuple[str, SeverityLevel]] = {
    "done": ("is done", "information"),
    "failed": ("has failed", "error"),
    "interrupted": ("was interrupted", "warning"),
    "died": ("has died", "error"),
}
SCREENS = (
    "live.live_screen", "results.results_screen", "configure.configure_screen", "compare.compare_screen",
    "trial.trial_screen", "help", "leave",
)  # fmt: skip
"""Those that are not there from the start."""
WARM_SECONDS = 0.3
"""After which the first screen is there, and modules are loaded for the others."""


def warm() -> None:
    """Load the other screens in a thread: to import one when its key is pressed holds everything up for 50 ms."""
    for name in SCREENS:
        import_module(f"prunetui.tui.screens.{name}")
    for name in ("plotext", "psutil"):
        import_module(name)
    settle(at_once=True)


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
        self.root, self.device, self.now = root, device, now
        self.queue = Queue(root)
        self._watch = watch
        settings = settings or settings_path()
        self.settings: Settings = load_settings(settings)
        self._keeper = Keeper(settings)
        if ascii_only:
            self.settings = replace(self.settings, ascii=True)
        self._ascii_asked = ascii_only
        self.entries: tuple[Entry, ...] | None = None
        """The runs as last seen; None before the first look."""
        self.runner = Runner(root, device)
        self._serve = serve
        self._feed = Feed(RunsLook(root), self._tell_runs, RUNS_SECONDS)
        self._harmless = Harmless()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Those of Textual, and ours behind them: all that is drawn goes through it."""
        return [*super().get_line_filters(), self._harmless]

    def on_mount(self) -> None:
        from prunetui.tui.screens.runs.runs_screen import RunsScreen

        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.theme if self.settings.theme in NAMES else NAMES[0]
        self.push_screen(RunsScreen())
        self._feed.start()
        settle()
        self.set_timer(WARM_SECONDS, threading.Thread(target=warm, name="warm", daemon=True).start)
        if self._serve:
            self.runner.start()
        if self._watch:
            self.open_run(self._watch)

    def _tell_runs(self, entries: tuple[Entry, ...]) -> None:
        if self.is_running:
            self.post_message(RunsChanged(entries))

    def on_runs_changed(self, message: RunsChanged) -> None:
        self._tell_ends(message.entries)
        self.entries = message.entries
        for screen in self.screen_stack:
            show = getattr(screen, "show_runs", None)
            if show is not None and not self.is_covered(screen):
                show(message.entries)

    def is_covered(self, screen: Screen[Any]) -> bool:
        """Whether another screen, not a dialog, lies over it.

        What changes beneath is not drawn: Textual would send the whole terminal again for it.
        """
        stack = self.screen_stack
        if screen not in stack:
            return True
        return not all(isinstance(other, ModalScreen) for other in stack[stack.index(screen) + 1 :])

    def _tell_ends(self, entries: tuple[Entry, ...]) -> None:
        """Say what became of a run, wherever the user is."""
        before = {entry.id: entry.state for entry in self.entries or ()}
        for entry in entries:
            over = before.get(entry.id) in ("running", "paused") and entry.state in ENDS
            if over and entry.status:
                why = f": {entry.status.message}" if entry.status.message else ""
                told, severity = ENDS[entry.state]
                self.notify(one_line(f"{entry.name} {told}{why}"), severity=severity, timeout=8)

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

    def look_again(self) -> None:
        """Something was done to the store: look now, not at the next turn."""
        self._feed.nudge()

    def remember(self, **changes: Any) -> None:
        """Change settings that outlive the session."""
        self.settings = replace(self.settings, **changes)
        self._keeper.keep(replace(self.settings, ascii=False) if self._ascii_asked else self.settings)

    # Where to go ----------------------------------------------------------------------------------

    def open_run(self, run: str) -> None:
        """Show a run: live while it runs or waits, its results afterwards."""
        from prunetui.tui.screens.live.live_screen import LiveScreen
        from prunetui.tui.screens.results.results_screen import ResultsScreen

        status = Run(self.root / run).status()
        live = status is not None and status.state in ("running", "queued")
        self.push_screen(LiveScreen(run) if live or status is None else ResultsScreen(run))

    def open_live(self, run: str) -> None:
        """Watch a run."""
        from prunetui.tui.screens.live.live_screen import LiveScreen

        self.push_screen(LiveScreen(run))

    def open_results(self, run: str) -> None:
        """Show the results of a run, whatever its state."""
        from prunetui.tui.screens.results.results_screen import ResultsScreen

        self.push_screen(ResultsScreen(run))

    def open_compare(self, runs: list[str]) -> None:
        """Show several runs together."""
        from prunetui.tui.screens.compare.compare_screen import CompareScreen

        self.push_screen(CompareScreen(runs))

    def open_configure(self, start: str = "") -> None:
        """Make a study; ``start`` is a run to begin from."""
        from prunetui.tui.screens.configure.configure_screen import ConfigureScreen

        self.push_screen(ConfigureScreen(start))

    # Actions --------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """The keys of this place."""
        from prunetui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_next_theme(self) -> None:
        """The next of the themes."""
        place = NAMES.index(self.theme) if self.theme in NAMES else -1
        self.theme = NAMES[(place + 1) % len(NAMES)]
        self.remember(theme=self.theme)

    def action_leave(self) -> None:
        """Quit; asks what becomes of a study that is being written, and of a run that was started here."""
        from prunetui.tui.screens.leave import UnsavedScreen

        if not any(getattr(screen, "unsaved", False) for screen in self.screen_stack):
            self._leave()
        elif not isinstance(self.screen, UnsavedScreen):
            self.push_screen(UnsavedScreen(), lambda answer: self._leave() if answer == "leave" else None)

    def _leave(self) -> None:
        from prunetui.tui.screens.leave import LeaveScreen, carry_out

        running = [entry for entry in self.entries or () if self._still_runs(entry)]
        if not running:
            self.exit(0)
        elif not isinstance(self.screen, LeaveScreen):

            def left(answer: str | None) -> None:
                if carry_out(answer, running):
                    self.exit(0)

            self.push_screen(LeaveScreen(running, len(self.queue.waiting)), left)

    def _still_runs(self, entry: Entry) -> bool:
        """Whether a run of the list runs now: the list may be a moment old."""
        status = Run(entry.folder).status() if entry.status and entry.status.state == "running" else None
        return status is not None and status.state == "running"

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Everything that has a key here, and the themes, in the command palette."""
        yield SystemCommand("Quit", "Leave prunetui; what runs may go on", self.action_leave)
        yield SystemCommand("Help", "The keys of this place", self.action_help)
        yield SystemCommand("New study", "Configure and start a study", self.open_configure)
        for theme in NAMES:
            yield SystemCommand(f"Theme {theme}", "Change colours", lambda name=theme: self._use_theme(name))
        from prunetui.tui.screens.help import SILENT

        told: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            own = active.node is screen and binding.description and active.enabled
            if own and binding.action not in told and not binding.action.startswith(SILENT):
                told.add(binding.action)
                doc = getattr(screen, f"action_{binding.action.partition('(')[0]}", None).__doc__ or ""
                yield SystemCommand(
                    f"{binding.description} ({binding.key_display or binding.key})",
                    doc,
                    lambda node=active.node, action=binding.action: self.run_later(action, node),
                )

    def run_later(self, action: str, node: Any) -> None:
        """Do what a key does, once the palette is gone."""
        self.call_later(self.run_action, action, node)

    def _use_theme(self, name: str) -> None:
        self.theme = name
        self.remember(theme=name)

    def on_unmount(self) -> None:
        self._feed.close()
        self._keeper.close()
        if self._serve:
            self.runner.close()


def run_app(root: Path, device: str, watch: str, ascii_only: bool) -> int:
    """Run the application; returns the exit code."""
    app = PrunetuiApp(root, device, watch, ascii_only)
    code = app.run()
    return code if isinstance(code, int) else app.return_code or 0
