"""The results of a run: a chart to work with, the table of its trials, and files and copies of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from prunetui.results.comparison import failures
from prunetui.results.summary import dense_level
from prunetui.results.text_tables import csv_text
from prunetui.store import Run
from prunetui.terminal.printable import one_line
from prunetui.tui.filters import fits
from prunetui.tui.navigation import OpenTrial
from prunetui.tui.run_look import RUN_SECONDS
from prunetui.tui.saving import copy_text, keep, keep_drawn, keep_report, markdown
from prunetui.tui.screens.chart_screen import ChartScreen
from prunetui.tui.screens.dialogs import Choice, sort_choice
from prunetui.tui.screens.results.layer_sensitivities import LayerSensitivities
from prunetui.tui.screens.results.results_look import ResultsLook, Row, RunResults
from prunetui.tui.session import Session
from prunetui.tui.widgets.filtered import Filtered
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.panes import Panes
from prunetui.tui.widgets.plot import Plot
from prunetui.tui.widgets.plot_keys import KEYS
from prunetui.tui.widgets.sorted_table import SortedTable
from prunetui.tui.widgets.trials_table import Trials
from prunetui.tui.widgets.virtual_table import VirtualTable
from prunetui.tui.words import state_text

SEARCHED = ("trial", "method", "label", "schedule", "target", "seed", "status", "layer", "error")
"""Columns that the filter looks into, as words or as ``column:value``."""

PLACEHOLDER = "filter: words, or status:failed method:taylor target:0.9"


class ResultsChanged(Message):
    """There are other results."""

    def __init__(self, results: RunResults) -> None:
        self.results = results
        super().__init__()


class ResultsScreen(ChartScreen):
    """Results of a run. Filter trials with / by words or status: method: target: seed: layer: ; m chooses methods."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        *KEYS,
        Binding("m,3", "methods", "Methods"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort", show=False),
        Binding("w", "save", "Save"),
        Binding("c", "copy", "Copy"),
    ]

    def __init__(self, session: Session, run: str) -> None:
        super().__init__(session)
        self.run_id = run
        self.results: RunResults | None = None

    def compose(self) -> ComposeResult:
        yield Static(Text(one_line(f"{self.run_id}  reading")), id="title")
        yield Static("", id="trouble")
        settings = self.session.settings
        plot = Plot(settings.chart_x, settings.chart_y, settings.ascii, id="plot", classes="panel")
        trials = Filtered(Trials(id="trial-table"), "2 trials", PLACEHOLDER, id="trials")
        yield Panes(plot, trials, instead=Vertical(LayerSensitivities(), id="layers", classes="panel"), id="panes")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one("#trouble").display = False
        self.follow(ResultsLook(Run(self.session.root / self.run_id)), ResultsChanged, RUN_SECONDS)

    # Showing --------------------------------------------------------------------------------------

    def on_results_changed(self, message: ResultsChanged) -> None:
        self.show_results(message.results)

    def show_results(self, results: RunResults) -> None:
        """Everything there is to see of the results."""
        before, self.results = self.results, results
        self._show_title(results)
        if before and results.view.rows is before.view.rows and results.view.state == before.view.state:
            return
        trouble = results.trouble or failures(results.view.rows)
        self.query_one("#trouble").display = bool(trouble)
        self.query_one("#trouble", Static).update(Text(one_line(trouble), "#ff6b5e"))
        self.query_one(Plot).show_lines(
            results.lines,
            results.why_empty() if results.lines else results.trouble or results.why_empty(),
            results.view.metrics,
        )
        self._show_layers()
        self._show_trials()
        self.query_one(Panes).exchange(results.is_sensitivity)
        if before is None or results.is_sensitivity != before.is_sensitivity:
            self.refresh_bindings()

    def _show_title(self, results: RunResults) -> None:
        view, status = results.view, results.view.status
        words = [view.id]
        if status:
            over = status.done + status.failed
            words = [status.name, f"{status.model} on {status.data}", status.device, f"{over}/{status.trials} trials"]
        title = Text.assemble(state_text(view.state), "  ", one_line("  ".join(word for word in words if word)))
        self.query_one("#title", Static).update(title)

    def _show_layers(self) -> None:
        if self.results is None or not self.results.is_sensitivity:
            return
        y = self.query_one(Plot).y_axis
        dense, metrics = dense_level(self.results.lines), self.results.view.metrics
        self.query_one(LayerSensitivities).show_layers(self.results.layers.get(y.key, ()), y, dense, metrics)
        pane = self.query_one("#layers")
        pane.border_title = f"1 {y.words} with only this layer pruned"
        pane.border_subtitle = f"dense {metrics.primary.number(dense)}" if dense is not None else ""

    def _show_trials(self) -> None:
        if self.results is None:
            return
        pane = self.query_one(Filtered)
        rows = [row for row in self.results.view.rows if not pane.typed or fits(pane.typed, _fields(row))]
        self.query_one(Trials).show_rows(rows, self.results.view.metrics)
        pane.count(len(rows), len(self.results.view.rows))

    @property
    def _is_sensitivity(self) -> bool:
        return self.results is not None and self.results.is_sensitivity

    # Chart --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Layers have no methods to choose and no chart, only another figure."""
        if not self._is_sensitivity:
            return True
        return parameters[0] == "y" if action == "plot" else action != "methods"

    def action_plot(self, name: str, *arguments: Any) -> None:
        """What a key means for the chart, wherever the focus is."""
        super().action_plot(name, *arguments)
        self._show_layers()

    # Table ----------------------------------------------------------------------------------------

    def on_filtered_changed(self) -> None:
        self._show_trials()

    @work
    async def action_sort(self) -> None:
        """Choose what to sort by."""
        layers = self.query_one(LayerSensitivities)
        table: SortedTable[Any] = layers if layers.has_focus else self.query_one(Trials)
        chosen = await self.app.push_screen_wait(sort_choice(table.columns))
        if chosen:
            table.sort_by(chosen)

    def on_virtual_table_opened(self, event: VirtualTable.Opened) -> None:
        if isinstance(event.table, LayerSensitivities):
            layers = event.table.current
            if layers is not None:
                self.query_one(Panes).bring(1)
                self.query_one(Filtered).open(f"layer:{'+'.join(layers.layers)}")
        elif event.table.current is not None:
            self._open(event.table.rows, event.table.cursor)

    def on_plot_opened(self, event: Plot.Opened) -> None:
        rows = self.results.view.rows if self.results else ()
        key = event.line.key
        of = [row for row in rows if (row["label"] or row["method"], row["schedule"], row["target"]) == key]
        if of:
            self._open(of, 0)

    def _open(self, rows: Any, place: int) -> None:
        if self.results:
            self.app.post_message(OpenTrial(self.results.view, rows, place))

    # Files and copies -----------------------------------------------------------------------------

    @work
    async def action_save(self) -> None:
        """Save the chart or the table into the folder where prunetui was started."""
        tables = [("csv", "Trials as CSV"), ("md", "Trials as Markdown"), ("html", "Report as a page")]
        if self._is_sensitivity:
            answers = [("layers", "Layers as Markdown"), *tables]
        else:
            answers = [("svg", "Chart as SVG"), *tables, ("png", "Chart as PNG")]
        chosen = await self.app.push_screen_wait(Choice("Save", f"into {Path.cwd()}", answers))
        if chosen:
            self._save(chosen)

    def _save(self, what: str) -> None:
        plot, trials = self.query_one(Plot), self.query_one(Trials)
        name = self.results.view.status.name if self.results and self.results.view.status else self.run_id
        if what in ("svg", "png"):
            stem = f"{self.run_id}-{plot.y_axis.key}-{plot.x_axis.key}"
            keep_drawn(self, stem, f".{what}", plot.figure(name, "png" if what == "png" else "svg"))
            return
        if what == "html":
            keep_report(self, self.session.root, [self.run_id], f"{self.run_id}-report")
            return
        file: dict[str, tuple[str, str, Callable[[], str]]] = {
            "csv": ("trials", ".csv", lambda: csv_text(trials.rows, trials.metrics)),
            "md": ("trials", ".md", lambda: markdown(trials)),
            "layers": ("layers", ".md", lambda: markdown(self.query_one(LayerSensitivities))),
        }
        stem, suffix, text = file[what]
        keep(self, f"{self.run_id}-{stem}", suffix, text())

    def action_copy(self) -> None:
        """Copy the table, or the point under the cursor, to the clipboard of this terminal (OSC 52)."""
        plot = self.query_one(Plot)
        if self.query_one(Panes).front == 0 and not self._is_sensitivity:
            copy_text(self, plot.told_point(), "the point")
        else:
            table: VirtualTable[Any] = self.query_one(Trials if self.query_one(Panes).front else LayerSensitivities)
            copy_text(self, markdown(table), f"{len(table.rows)} rows as Markdown")


def _fields(row: Row) -> dict[str, str]:
    return {name: str(row.get(name) or "").lower() for name in SEARCHED}
