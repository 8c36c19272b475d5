"""What a run does now: how far, how well, how busy the machine is; and the means to steer it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from prunetui.execute import launcher
from prunetui.metrics import CLASSIFICATION
from prunetui.results import summary
from prunetui.results.chart import Picture
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.terminal.printable import one_line
from prunetui.tui.navigation import OpenResults, StoreChanged
from prunetui.tui.run_look import RUN_SECONDS, RunLook
from prunetui.tui.screens.ask_trust import is_trusted
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.screens.following import FollowingScreen
from prunetui.tui.screens.live import headlines
from prunetui.tui.screens.live.gauges import GaugesLook
from prunetui.tui.screens.live.log_table import LogTable
from prunetui.tui.session import Session
from prunetui.tui.views import Entry, Gauges, RunView
from prunetui.tui.widgets.chart_view import ChartView, legend_text
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.line import OneLine
from prunetui.tui.widgets.quarters import FourPanes, Quarters, pane_keys
from prunetui.tui.widgets.trials_table import Trials

PANES = {"accuracy": "#accuracy-chart", "training": "#training-chart", "trials": "#trial-table", "log": "#lines"}
RESUMABLE = ("queued", "interrupted", "died", "failed")


class RunChanged(Message):
    """The run on the screen is further."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        super().__init__()


class GaugesChanged(Message):
    """The machine is more or less busy."""

    def __init__(self, gauges: Gauges) -> None:
        self.gauges = gauges
        super().__init__()


class LiveScreen(FollowingScreen, FourPanes):
    """A run while it is executed, by whomever. Keys 1 to 4 bring a pane to the front on small terminals."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("p", "pause", "Pause"),
        Binding("s", "stop", "Stop..."),
        Binding("x", "skip", "Skip trial"),
        Binding("r", "results", "Results"),
        *pane_keys(list(PANES)),
        Binding("v", "level", "Log level", show=False),
        Binding("R", "resume", "Resume", show=False),
    ]

    def __init__(self, session: Session, run: str) -> None:
        super().__init__()
        self.session = session
        self.run_id = run
        self.view: RunView | None = None

    def compose(self) -> ComposeResult:
        ascii_only = self.session.settings.ascii
        yield OneLine(id="title")
        with Vertical(id="progress"):
            yield OneLine(id="overall")
            yield OneLine(id="step")
        with Quarters(PANES, id="panes"):
            with Vertical(id="accuracy", classes="panel") as accuracy:
                accuracy.border_title = f"1 {CLASSIFICATION.primary.noun}"  # until the run is read
                yield ChartView("The first finished trial draws the chart.", ascii_only, id="accuracy-chart")
                yield Static("", id="legend")
            with Vertical(id="training", classes="panel") as training:
                training.border_title = "2 training"
                yield ChartView("The first finished epoch draws the curves.", ascii_only, id="training-chart")
            with Vertical(id="trials", classes="panel") as trials:
                trials.border_title = "3 trials"
                yield Trials(id="trial-table")
            with Vertical(id="log", classes="panel") as log:
                log.border_title = "4 log"
                yield LogTable(id="lines")
        yield OneLine(id="gauges")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one("#title", OneLine).show(Text(one_line(f"{self.run_id}  reading")))
        self.follow(RunLook(Run(self.session.root / self.run_id)), RunChanged, RUN_SECONDS)
        self.follow(GaugesLook(), GaugesChanged, 1.0)

    # Showing --------------------------------------------------------------------------------------

    def on_run_changed(self, message: RunChanged) -> None:
        self.show_view(message.view)

    def show_view(self, view: RunView) -> None:
        """Everything there is to see of the run."""
        before, self.view = self.view, view
        if before is None or view.state != before.state:
            self.refresh_bindings()
        self._show_title(view)
        self._show_progress(view)
        if before is None or view.rows != before.rows:
            self._show_results(view)
        curve = view.curves.get(view.current)
        if before is None or curve != before.curves.get(before.current):
            self._show_curve(view)
        self.query_one(LogTable).add(view.log)

    def _show_title(self, view: RunView) -> None:
        self.query_one("#title", OneLine).show(headlines.title(view, self.session.entries))

    def show_runs(self, entries: tuple[Entry, ...]) -> None:
        """The queue may be another."""
        if self.view is not None:
            self._show_title(self.view)

    def on_screen_resume(self) -> None:
        self.show_runs(self.session.entries or ())

    def _show_progress(self, view: RunView) -> None:
        for name, line in (("#overall", headlines.overall), ("#step", headlines.step)):
            self.query_one(name, OneLine).show(line(view, self.size.width, self.session.settings.ascii))

    def _show_results(self, view: RunView) -> None:
        lines = view.lines
        metric = view.metrics.primary
        title = f"{metric.titled(' ')} on the test split"
        picture = Picture(tuple(summary.series(lines)), summary.dense_level(lines), metric, title, "sparsity")
        self.query_one("#accuracy").border_title = f"1 {metric.noun or metric.title}"
        self.query_one("#accuracy-chart", ChartView).show(picture)
        words = self.query_one("#legend", Static)
        words.update(legend_text(picture, words.container_size.width) if picture.series else "")
        self.query_one(Trials).show_rows(view.rows, view.metrics)

    def _show_curve(self, view: RunView) -> None:
        curve = view.curves.get(view.current)
        if curve is None or not curve.epochs:
            return
        metric = view.metrics.primary
        caption = f"{metric.noun or metric.title} {metric.text(curve.accuracy[-1])}  loss {curve.loss[-1]:.4f}"
        self.query_one("#training-chart", ChartView).show(headlines.training(curve, metric), caption=caption)

    def on_gauges_changed(self, message: GaugesChanged) -> None:
        self.query_one("#gauges", OneLine).show(headlines.machine(message.gauges))

    # Panes ----------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        if self.view:
            self._show_progress(self.view)
            self.call_after_refresh(self._show_results, self.view)  # its legend is as wide as there is room

    def action_level(self) -> None:
        """Show more of the log, or less."""
        self.query_one("#log").border_subtitle = f"from {self.query_one(LogTable).next_level()}"

    # Steering -------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what runs can be steered, only what does not and is not done be resumed; all before that is known."""
        if self.view is None:
            return True
        if action in ("pause", "stop", "skip"):
            return self.view.is_running
        return self.view.state in RESUMABLE if action == "resume" else True

    @work
    async def action_pause(self) -> None:
        """Pause, or go on."""
        if self.view:
            wish = not self.view.wishes.pause
            await asyncio.to_thread(Control(Run(self.view.folder)).ask, pause=wish)
            self.notify("pauses after this batch" if wish else "goes on")
            self.look_again()

    @work
    async def action_skip(self) -> None:
        """Leave out the current trial."""
        trial = self.view.progress.trial if self.view else ""
        if not self.view or not trial:
            return
        question = f"{trial} is left out; its finished steps stay in the cache."
        answers = [("no", "Go on"), ("yes", "Skip this trial")]
        if await self.app.push_screen_wait(Choice("Skip", question, answers)) == "yes":
            await asyncio.to_thread(Control(Run(self.view.folder)).skip, trial)

    @work
    async def action_stop(self) -> None:
        """Stop the run, gently or not."""
        if self.view is None:
            return
        run = Run(self.view.folder)
        answers = [
            ("step", "Stop after this step"),
            ("now", "Stop now; the current training goes on from its last epoch when resumed"),
            ("kill", "Kill the process"),
            ("no", "Go on"),
        ]
        answer = await self.app.push_screen_wait(Choice("Stop", "Whatever is finished is kept.", answers))
        if answer == "step":
            await asyncio.to_thread(Control(run).ask, stop_after_step=True, pause=False)
        elif answer == "now":
            await asyncio.to_thread(launcher.stop, run)
        elif answer == "kill" and not await asyncio.to_thread(launcher.kill, run):
            self.notify("Its process is not on this machine.", severity="error")

    @work
    async def action_resume(self) -> None:
        """Queue the run again."""
        status = Run(self.session.root / self.run_id).status()  # the view may be a moment old
        if status is None or status.state not in RESUMABLE:
            self.notify("Only what is not running and not done can be resumed.", severity="warning")
        elif await is_trusted(self.app, Run(self.session.root / self.run_id)):
            await asyncio.to_thread(self.session.queue.add, self.run_id)
            self.notify("in the queue")
            self.app.post_message(StoreChanged())

    def action_results(self) -> None:
        """The results so far."""
        self.app.post_message(OpenResults(self.run_id))
