"""One trial: all its numbers, what is left of each layer, how its weights are spread, how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.table import Table as Grid
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from prunetui.errors import DataError
from prunetui.plugins.catalogue import runs_code
from prunetui.report.kept_layers import read_packed
from prunetui.results.chart import Picture
from prunetui.results.inspect_model import Histogram, ModelSummary, dense_file, model_file, read_model
from prunetui.results.summary import Series
from prunetui.terminal.printable import one_line, quoted
from prunetui.tui.saving import copy_text
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.screens.trial import model_export
from prunetui.tui.screens.trial.layer_summaries import LayerSummaries
from prunetui.tui.screens.trial.model_export import FORMATS
from prunetui.tui.screens.trial.trial_numbers import numbers
from prunetui.tui.screens.trial.weight_histogram import Bars
from prunetui.tui.views import RunView
from prunetui.tui.widgets.chart_view import ChartView, legend_text
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.quarters import FourPanes, Quarters, pane_keys
from prunetui.tui.widgets.virtual_table import VirtualTable

PANES = {"numbers": "#numbers-scroll", "layers": "#model-table", "weights": "#bars", "training": "#curves"}
TRIALS = Binding.Group("Trial")


class TrialScreen(FourPanes):
    """A trial. Keys 1 to 4 bring a pane to the front; the weights shown are those of the layer under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        *pane_keys(list(PANES)),
        Binding("n,right", "trial(1)", "Next trial", group=TRIALS),
        Binding("p,left", "trial(-1)", "Trial before", group=TRIALS),
        Binding("y", "loss", "Accuracy/loss"),
        Binding("c", "copy", "Copy"),
        Binding("e", "export", "Export"),
    ]

    def __init__(self, view: RunView, rows: Sequence[Mapping[str, Any]], place: int, ascii_only: bool = False) -> None:
        super().__init__()
        self.view, self.rows, self.place = view, rows, place
        self.model: ModelSummary | None = None
        self._losses = False
        self._ascii = ascii_only

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        with Quarters(PANES, {"layers": "weights"}, id="panes"):
            with Vertical(id="numbers", classes="panel") as numbers_pane:
                numbers_pane.border_title = "1 numbers"
                with VerticalScroll(id="numbers-scroll"):
                    yield Static("", id="figures")
            with Vertical(id="layers", classes="panel") as layers:
                layers.border_title = "2 layers"
                yield Static("", id="why")
                yield LayerSummaries(self._ascii, id="model-table")
            with Vertical(id="weights", classes="panel") as weights:
                weights.border_title = "3 weights"
                yield Bars(self._ascii, id="bars")
            with Vertical(id="training", classes="panel") as training:
                training.border_title = "4 training"
                yield ChartView(ascii_only=self._ascii, id="curves")
                yield Static("", id="legend")
        yield Keys()

    def on_mount(self) -> None:
        self._show_trial()

    @property
    def row(self) -> Mapping[str, Any]:
        """The trial that is shown."""
        return self.rows[self.place]

    def _show_trial(self) -> None:
        row = self.row
        title = Text.assemble(one_line(f"{row.get('trial')}  "), (f"{self.place + 1} of {len(self.rows)}", "dim"))
        self.query_one("#title", Static).update(title)
        grid = Grid.grid(padding=(0, 2))
        dense = next((one for one in self.view.rows if one.get("method") == "dense" and one.get("params")), {})
        for what, value in numbers(row, dense, self.view.metrics):
            grid.add_row(Text(what, "dim"), Text(quoted(value), "bold #ff6b5e" if what == "error" else ""))
        self.query_one("#figures", Static).update(grid)
        self._show_curves()
        self._show_model(None, "reading the model")
        self._read(row)

    # Taking it home -------------------------------------------------------------------------------

    @work
    async def action_export(self) -> None:
        """Save the network for other programs, into the folder where prunetui was started."""
        trial = str(self.row.get("trial"))
        kind = await self.app.push_screen_wait(Choice("Export", f"{trial}, into {Path.cwd()}", [*FORMATS.items()]))
        trust = await self._trusts_code() if kind else None
        if kind and trust is not None:
            self.notify(f"exports {trial}; it takes a few seconds")
            self._hand_over(trial, kind, Path.cwd() / f"{trial}.{kind}", trust)

    async def _trusts_code(self) -> bool | None:
        """Whether code that the run names is to be run, asked where there is any; None where that is declined."""
        status = self.view.status
        files = [name for name in (status.model, status.data) if runs_code(name)] if status else []
        if not files:
            return False
        question = f"The run names code of {' and '.join(files)}, which building the network runs."
        answers = [("trust", "Run it: I trust who made this run"), ("cancel", "Cancel")]
        answer = await self.app.push_screen_wait(Choice("Export", question, answers))
        return True if answer == "trust" else None

    @work(thread=True)
    def _hand_over(self, trial: str, kind: str, output: Path, trust: bool) -> None:
        if output.exists():
            self.app.call_from_thread(self.notify, f"{output.name} is already there", severity="warning")
            return
        fine, told = model_export.export(self.view.folder, trial, kind, output, trust)
        severity: Literal["information", "error"] = "information" if fine else "error"
        self.app.call_from_thread(self.notify, told, severity=severity, timeout=10)

    # The model ------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _read(self, row: Mapping[str, Any]) -> None:
        folder, trial = self.view.folder, str(row.get("trial"))
        models = folder / "models"
        model, why = None, ""
        try:
            model = read_model(model_file(models, trial), dense_file(models, str(row.get("seed"))))
        except DataError as error:
            packed = read_packed(folder).get(trial)
            if packed:
                model, why = ModelSummary(packed, Histogram(0.0, ()), 0), "Packed without its network: layers only."
            elif row.get("status") != "done":
                why = "The trial has no model: it was not finished."
            else:
                why = f"No layers to show: {error}"
        if self.row is row:
            self.app.call_from_thread(self._show_model, model, why)

    def _show_model(self, model: ModelSummary | None, why: str) -> None:
        self.model = model
        self.query_one("#why", Static).update(Text(quoted(why), "dim"))
        self.query_one("#why").display = bool(why)
        table = self.query_one(LayerSummaries)
        table.fill(model)
        left = f"{model.nonzero:,} of {model.weights:,} weights are not zero" if model else ""
        self.query_one("#layers").border_subtitle = left
        self._show_weights()

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        self._show_weights()

    def _show_weights(self) -> None:
        pane, layer = self.query_one("#weights"), self.query_one(LayerSummaries).current
        histogram = layer.histogram if layer else self.model.histogram if self.model else None
        histogram = histogram if histogram and histogram.counts else None
        pane.border_title = Text(one_line(f"3 weights{f' of {layer.name}' if layer else ''}"))
        zeros = layer.weights - layer.nonzero if layer else 0
        pane.border_subtitle = f"without {zeros:,} zeros" if zeros else ""
        self.query_one(Bars).show(histogram)

    # Training -------------------------------------------------------------------------------------

    def _show_curves(self) -> None:
        own = [curve for curve in self.view.curves.values() if curve.trial == self.row.get("trial") and curve.epochs]
        series = []
        for number, curve in enumerate(own, 1):
            values = curve.loss if self._losses else curve.accuracy
            name = f"{number}. {curve.label}: {values[-1]:.{4 if self._losses else 2}f}"
            series.append(Series(name, tuple(map(float, curve.epochs)), values, (0.0,) * len(values)))
        metric = self.view.metrics.primary
        shown = f"{metric.noun or metric.title}{metric.suffix}"
        picture = Picture(tuple(series), x_label="epoch", points=all(len(one.x) < 2 for one in series))
        self.query_one("#training").border_title = f"4 training {'loss' if self._losses else shown}"
        nothing = "No training was done for this trial alone: it shares its steps with others, or has none."
        self.query_one(ChartView).show(picture, nothing, soon=True)
        words = self.query_one("#legend", Static)
        words.update(legend_text(picture, words.container_size.width))

    def action_loss(self) -> None:
        """Loss instead of accuracy, or back."""
        self._losses = not self._losses
        self._show_curves()

    # Keys -----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Another trial where there is one; what was not finished has no network to export."""
        if action == "trial":
            return len(self.rows) > 1
        return self.row.get("status") == "done" if action == "export" else True

    def action_trial(self, by: int) -> None:
        """Another trial, in the order of the table."""
        self.place = (self.place + by) % len(self.rows)
        self._show_trial()
        self.refresh_bindings()

    def action_copy(self) -> None:
        """Copy all numbers of the trial."""
        words = "".join(f"{what}: {value}\n" for what, value in numbers(self.row, {}, self.view.metrics))
        copy_text(self, words, "the numbers of the trial")
