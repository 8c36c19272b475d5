"""What a run does now: how far, how well, how busy the machine is; and the means to steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from prunetui import report, runner
from prunetui.chart import Picture
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.tui.feed import RUN_SECONDS, Feed, RunLook
from prunetui.tui.gauges import GaugesLook
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.views import Entry, Gauges, RunView
from prunetui.tui.widgets.chart import Chart, legend_text
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.log import Log
from prunetui.tui.widgets.trials import Trials
from prunetui.tui.words import bar, clock, size, state_text

if TYPE_CHECKING:
    from prunetui.tui.app import PrunetuiApp

PANES = ("accuracy", "training", "trials", "log")
WIDE, HIGH = 110, 34
"""Cells from which all four panes are shown at once; below that one at a time."""


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


class LiveScreen(Screen[None]):
    """A run while it is executed, by whomever. Keys 1 to 4 bring a pane to the front on small terminals."""

    app: PrunetuiApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("p", "pause", "Pause"),
        Binding("s", "stop", "Stop..."),
        Binding("x", "skip", "Skip trial"),
        Binding("r", "results", "Results"),
        Binding("tab", "next_pane", "Pane"),
        *(Binding(str(i), f"pane('{name}')", name.title(), show=False) for i, name in enumerate(PANES, 1)),
        Binding("v", "level", "Log level", show=False),
        Binding("R", "resume", "Resume", show=False),
    ]

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run_id = run
        self.view: RunView | None = None
        self._pane = "accuracy"
        self._feeds: list[Feed[RunView] | Feed[Gauges]] = []

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        with Vertical(id="progress"):
            yield Static("", id="overall")
            yield Static("", id="step")
        with Container(id="panes"):
            with Vertical(id="accuracy", classes="panel") as accuracy:
                accuracy.border_title = "1 accuracy"
                yield Chart("The first finished trial draws the chart.", id="accuracy-chart")
                yield Static("", id="legend")
            with Vertical(id="training", classes="panel") as training:
                training.border_title = "2 training"
                yield Chart("The first finished epoch draws the curves.", id="training-chart")
            with Vertical(id="trials", classes="panel") as trials:
                trials.border_title = "3 trials"
                yield Trials(id="trial-table")
            with Vertical(id="log", classes="panel") as log:
                log.border_title = "4 log"
                yield Log(id="lines")
        yield Static("", id="gauges")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one("#title", Static).update(Text(f"{self.run_id}  reading"))
        self._front()
        self._feeds = [
            Feed(RunLook(Run(self.app.root / self.run_id)), lambda v: self._tell(RunChanged(v)), RUN_SECONDS),
            Feed(GaugesLook(), lambda g: self._tell(GaugesChanged(g)), 1.0),
        ]
        for feed in self._feeds:
            feed.start()

    def on_unmount(self) -> None:
        for feed in self._feeds:
            feed.close()

    def _tell(self, message: Message) -> None:
        if self.is_attached:
            self.post_message(message)

    # Showing --------------------------------------------------------------------------------------

    def on_run_changed(self, message: RunChanged) -> None:
        self.show_view(message.view)

    def show_view(self, view: RunView) -> None:
        """Everything there is to see of the run."""
        before, self.view = self.view, view
        self._show_title(view)
        self._show_progress(view)
        if before is None or view.rows != before.rows:
            self._show_results(view)
        curve = view.curves.get(view.current)
        if before is None or curve != before.curves.get(before.current):
            self._show_curve(view)
        self.query_one(Log).add(view.log)
        if before is not None and before.is_running and not view.is_running:
            self._show_end(view)

    def _show_title(self, view: RunView) -> None:
        status = view.status
        words = [status.name, f"{status.model} on {status.data}", view.device or status.device] if status else [view.id]
        title = Text.assemble(state_text(view.state), "  ", "  ".join(word for word in words if word))
        if status and status.message and view.state in ("failed", "interrupted"):
            title.append(f"  {status.message}", "#e69f00")
        places = {entry.id: entry.place for entry in self.app.entries or () if entry.place}
        if view.is_running and places:
            title.append(f"  {len(places)} more in the queue", "dim")
        if view.state == "queued" and self.app.entries is not None:  # else nobody has looked yet
            place = places.get(view.id, 0)
            title.append(f"  {place}. in the queue" if place else "  not in the queue: R puts it there", "#e69f00")
        self.query_one("#title", Static).update(title)

    def show_runs(self, entries: tuple[Entry, ...]) -> None:
        """The queue may be another."""
        if self.view is not None:
            self._show_title(self.view)

    def _show_progress(self, view: RunView) -> None:
        width = max(8, min(40, self.size.width - 68))
        ascii_only = self.app.settings.ascii
        left = f"{clock(view.seconds_left)} left" if view.is_running and view.seconds_left is not None else ""
        fraction = 1.0 if view.state == "done" else view.fraction
        trials = view.trials or (view.status.trials if view.status else 0)
        over = f"{view.trials_done}/{trials} trials"
        self.query_one("#overall", Static).update(
            Text(f"all   {bar(fraction, width, ascii_only)} {100 * fraction:3.0f} %  {over}  {left}")
        )
        if view.is_running:
            share = view.done / view.total if view.total else 0.0
            head = f"step  {bar(share, width, ascii_only)} {100 * share:3.0f} %"
            self.query_one("#step", Static).update(Text(head + _told(view, self.size.width - 2 - len(head))))
        else:
            words = {
                "failed": "4 shows the log, R tries again",
                "interrupted": "R resumes it",
                "done": "r shows the results",
            }
            self.query_one("#step", Static).update(Text(words.get(view.state, ""), "dim"))

    def _show_results(self, view: RunView) -> None:
        lines = view.lines
        picture = Picture(
            tuple(report.series(lines)), report.dense_accuracy(lines), "top-1 % on the test split", "sparsity"
        )
        self.query_one("#accuracy-chart", Chart).show(picture)
        self.query_one("#legend", Static).update(legend_text(picture) if picture.series else "")
        self.query_one(Trials).fill(view.rows)

    def _show_curve(self, view: RunView) -> None:
        curve = view.curves.get(view.current)
        if curve is None or not curve.epochs:
            return
        zeros = (0.0,) * len(curve.epochs)
        xs = tuple(float(epoch) for epoch in curve.epochs)
        most = max(curve.loss) or 1.0
        series = (
            report.Series("training accuracy %", xs, curve.accuracy, zeros),
            report.Series(f"loss (x {100 / most:.0f})", xs, tuple(100 * loss / most for loss in curve.loss), zeros),
        )
        title = f"{curve.trial}: {curve.label}"
        self.query_one("#training-chart", Chart).show(Picture(series, None, title, "epoch", points=len(xs) < 2))
        self.query_one("#training").border_subtitle = f"accuracy {curve.accuracy[-1]:.2f} %  loss {curve.loss[-1]:.4f}"

    def _show_end(self, view: RunView) -> None:
        if view.state == "done":
            self.notify(f"{view.status.name if view.status else view.id} is done; r shows the results.")
        elif view.state == "failed":
            message = view.status.message if view.status else ""
            self.notify(f"The run failed: {message or 'see the log (4)'}", severity="error", timeout=10)

    def on_gauges_changed(self, message: GaugesChanged) -> None:
        g = message.gauges
        words = [f"CPU {g.cpu:.0f} %", f"RAM {g.memory:.0f} % ({size(g.used, 1024)})"]
        for i, gpu in enumerate(g.gpus):
            words.append(
                f"GPU{i} {gpu.busy:.0f} %  {size(gpu.used, 1024)}/{size(gpu.memory, 1024)}  "
                f"{gpu.temperature:.0f} C  {gpu.power:.0f} W"
            )
        self.query_one("#gauges", Static).update(Text("  |  ".join(words)))

    # Panes ----------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._front()
        if self.view:
            self._show_progress(self.view)

    def _front(self) -> None:
        everything = self.size.width >= WIDE and self.size.height >= HIGH
        self.query_one("#panes").set_class(everything, "wide")
        for name in PANES:
            self.query_one(f"#{name}").display = everything or name == self._pane
        inner = {"accuracy": "Chart", "training": "Chart", "trials": "Trials", "log": "Log"}[self._pane]
        self.query_one(f"#{self._pane} {inner}").focus()

    def action_pane(self, name: str) -> None:
        """Bring a pane to the front."""
        self._pane = name
        self._front()

    def action_next_pane(self) -> None:
        """The next pane."""
        self.action_pane(PANES[(PANES.index(self._pane) + 1) % len(PANES)])

    def action_level(self) -> None:
        """Show more of the log, or less."""
        self.query_one("#log").border_subtitle = f"from {self.query_one(Log).next_level()}"

    # Steering -------------------------------------------------------------------------------------

    def _control(self) -> Control | None:
        """The wishes for the run, if it runs."""
        if self.view is None or not self.view.is_running:
            self.notify("The run is not running.", severity="warning")
            return None
        return Control(Run(self.view.folder))

    def action_pause(self) -> None:
        """Pause, or go on."""
        control = self._control()
        if control and self.view:
            paused = control.ask(pause=not self.view.wishes.pause).pause
            self.notify("pauses after this batch" if paused else "goes on")
            self._feeds[0].nudge()

    @work
    async def action_skip(self) -> None:
        """Leave out the current trial."""
        control = self._control()
        if control is None or self.view is None or not self.view.trial:
            return
        trial = self.view.trial
        question = f"{trial} is left out; its finished steps stay in the cache."
        if (
            await self.app.push_screen_wait(Choice("Skip", question, [("no", "Go on"), ("yes", "Skip this trial")]))
            == "yes"
        ):
            control.skip(trial)

    @work
    async def action_stop(self) -> None:
        """Stop the run, gently or not."""
        control = self._control()
        if control is None or self.view is None:
            return
        answers = [
            ("step", "Stop after this step"),
            ("now", "Stop now; the current training goes on from its last epoch when resumed"),
            ("kill", "Kill the process"),
            ("no", "Go on"),
        ]
        answer = await self.app.push_screen_wait(Choice("Stop", "Whatever is finished is kept.", answers))
        if answer == "step":
            control.ask(stop_after_step=True, pause=False)
        elif answer == "now":
            runner.stop(Run(self.view.folder))
        elif answer == "kill" and not runner.kill(Run(self.view.folder)):
            self.notify("Its process is not on this machine.", severity="error")

    def action_resume(self) -> None:
        """Queue the run again."""
        status = Run(self.app.root / self.run_id).status()  # the view may be a moment old
        if status is None or status.state in ("running", "done"):
            self.notify("Only what is not running and not done can be resumed.", severity="warning")
        else:
            self.app.queue.add(self.run_id)
            self.notify("in the queue")
            self.app.look_again()

    def action_results(self) -> None:
        """The results so far."""
        self.app.open_results(self.run_id)


def _told(view: RunView, room: int) -> str:
    """What the step does, the most important first; what there is no room for is left out."""
    words = [
        "stops after this step" if view.wishes.stop_after_step else "stops" if view.wishes.stop else "",
        view.step,
        f"epoch {view.epoch}/{view.epochs}" if view.epochs else "",
        f"loss {view.loss:.3f}" if view.loss is not None else "",
        f"{view.images_per_second:,.0f} img/s" if view.images_per_second else "",
    ]
    line = ""
    for word in filter(None, words):
        line += f"  {word}" if len(line) + len(word) + 2 <= room or not line else ""
    return line
