"""Several runs on one chart and in one table, under the settings in which they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from prunetui.results.comparison import Comparison, RunLine, joined
from prunetui.results.summary import Line
from prunetui.results.text_tables import table_csv
from prunetui.terminal.printable import one_line
from prunetui.tui.filters import fits
from prunetui.tui.navigation import OpenResults
from prunetui.tui.saving import copy_text, keep, keep_drawn, keep_report, markdown
from prunetui.tui.screens.chart_screen import ChartScreen
from prunetui.tui.screens.compare.compare_look import CompareLook
from prunetui.tui.screens.compare.comparison_table import Lines, SettingsTable
from prunetui.tui.screens.dialogs import Choice, sort_choice
from prunetui.tui.session import Session
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.filtered import Filtered
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.panes import Panes
from prunetui.tui.widgets.plot import Plot
from prunetui.tui.widgets.plot_keys import KEYS
from prunetui.tui.widgets.virtual_table import VirtualTable

SECONDS = 1.0
TITLE = "2 results, mean ± deviation over seeds"
PLACEHOLDER = "filter: words, or run:first method:taylor target:0.9"


class ComparisonChanged(Message):
    """The runs are further."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        super().__init__()


class CompareScreen(ChartScreen):
    """Runs side by side; above, only what differs. Filter with / by words or run: method: target: schedule: ."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        *KEYS,
        Binding("m,3", "methods", "Methods"),
        Binding("d", "settings", "Differences", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort", show=False),
        Binding("w", "save", "Save"),
        Binding("c", "copy", "Copy"),
    ]

    def __init__(self, session: Session, runs: Sequence[str]) -> None:
        super().__init__(session)
        self.run_ids = list(runs)
        self.comparison: Comparison | None = None
        self._behind: dict[int, RunLine] = {}

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{len(self.run_ids)} runs  reading"), id="title")
        yield Static("", id="trouble")
        yield SettingsTable(id="settings")
        settings = self.session.settings
        plot = Plot(settings.chart_x, settings.chart_y, settings.ascii, id="plot", classes="panel")
        yield Panes(plot, Filtered(Lines(), TITLE, PLACEHOLDER, id="results"), id="panes")
        yield Keys()

    def on_mount(self) -> None:
        for name in ("#trouble", "#settings"):
            self.query_one(name).display = False
        self.follow(CompareLook(self.session.root, self.run_ids), ComparisonChanged, SECONDS)

    # Showing --------------------------------------------------------------------------------------

    def on_comparison_changed(self, message: ComparisonChanged) -> None:
        self.show_comparison(message.comparison)

    def show_comparison(self, comparison: Comparison) -> None:
        """Everything there is to see of the runs."""
        self.comparison = comparison
        same = "" if comparison.settings or len(comparison.names) < 2 else "   their settings are the same"
        self.query_one("#title", Static).update(Text(one_line("  |  ".join(comparison.names) + same)))
        self.query_one("#trouble").display = bool(comparison.troubles)
        self.query_one("#trouble", Static).update(Text("\n".join(map(one_line, comparison.troubles)), "#ff6b5e"))
        settings = self.query_one(SettingsTable)
        settings.display = bool(comparison.settings)
        settings.fill(comparison.names, comparison.settings)
        settings.styles.height = 1 + min(len(comparison.settings), max(2, self.app.size.height // 8))
        lines = joined(comparison.lines)
        self._behind = {id(line): one for line, one in zip(lines, comparison.lines, strict=True)}
        self.query_one(Plot).show_lines(lines, self._why(comparison), comparison.metrics)
        self._show_lines()
        self.refresh_bindings()

    def _why(self, comparison: Comparison) -> str:
        if not comparison.names:
            return "None of these runs can be read."
        return "No trial is finished yet in any of them."

    def _show_lines(self) -> None:
        if self.comparison is None:
            return
        pane = self.query_one(Filtered)
        lines = [one for one in self.comparison.lines if not pane.typed or fits(pane.typed, _fields(one))]
        self.query_one(Lines).show_lines(lines, self.comparison.metrics)
        pane.count(len(lines), len(self.comparison.lines))

    # Differences ----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """To the differences only where there are some."""
        return action != "settings" or bool(self.comparison and self.comparison.settings)

    def action_settings(self) -> None:
        """To the settings that differ."""
        self.query_one(SettingsTable).focus()

    # Table ----------------------------------------------------------------------------------------

    def on_filtered_changed(self) -> None:
        self._show_lines()

    def action_back(self) -> None:
        """Back to what was before: from the settings or the legend, from a filter, from the screen."""
        if self.query_one(SettingsTable).has_focus:
            self.query_one(ChartView).focus()
        else:
            super().action_back()

    @work
    async def action_sort(self) -> None:
        """Choose what to sort by."""
        table = self.query_one(Lines)
        chosen = await self.app.push_screen_wait(sort_choice(table.columns))
        if chosen:
            table.sort_by(chosen)

    def on_virtual_table_opened(self, event: VirtualTable.Opened) -> None:
        one = event.table.current
        if isinstance(one, RunLine):
            self.app.post_message(OpenResults(one.run))

    def on_plot_opened(self, event: Plot.Opened) -> None:
        self.app.post_message(OpenResults(self._behind[id(event.line)].run))

    # Files and copies -----------------------------------------------------------------------------

    @work
    async def action_save(self) -> None:
        """Save the chart, the table or the differences into the folder where prunetui was started."""
        answers = [
            ("svg", "Chart as SVG"),
            ("csv", "Results as CSV"),
            ("md", "Results as Markdown"),
            ("settings", "Differences as Markdown"),
            ("html", "Report as a page"),
            ("png", "Chart as PNG"),
        ]
        chosen = await self.app.push_screen_wait(Choice("Save", "into the folder prunetui was started in", answers))
        if not chosen:
            return
        title = " and ".join(self.comparison.names) if self.comparison else ""
        if chosen == "svg" or chosen == "png":
            draw = self.query_one(Plot).figure(title, "svg" if chosen == "svg" else "png")
            keep_drawn(self, "compare-results", f".{chosen}", draw)
            return
        if chosen == "html":
            keep_report(self, self.session.root, self.run_ids, "compare-report")
            return
        files: dict[str, tuple[str, Callable[[], str]]] = {
            "csv": (".csv", lambda: table_csv(_plain(one) for one in self.query_one(Lines).rows)),
            "md": (".md", lambda: markdown(self.query_one(Lines))),
            "settings": (".md", lambda: markdown(self.query_one(SettingsTable))),
        }
        suffix, text = files[chosen]
        keep(self, f"compare-{chosen if chosen == 'settings' else 'results'}", suffix, text())

    def action_copy(self) -> None:
        """Copy what has the focus: the point under the cursor, the results, the differences."""
        settings = self.query_one(SettingsTable)
        if settings.has_focus:
            copy_text(self, markdown(settings), "the differences as Markdown")
        elif self.query_one(Panes).front == 0:
            copy_text(self, self.query_one(Plot).told_point(), "the point")
        else:
            table = self.query_one(Lines)
            copy_text(self, markdown(table), f"{len(table.rows)} rows as Markdown")


def _fields(one: RunLine) -> dict[str, str]:
    line: Line = one.line
    found = {"run": f"{one.name} {one.run}", "method": line.method, "label": line.label, "target": line.target}
    return {name: value.lower() for name, value in {**found, "schedule": line.schedule}.items()}


def _plain(one: RunLine) -> dict[str, Any]:
    """A line as a row: the mean of each figure, and its deviation where there are several seeds."""
    plain = asdict(one.line)
    figures: dict[str, Any] = plain.pop("figures")
    del plain["metrics"]
    row = {"run": one.run, "name": one.name, **plain}
    for name, figure in figures.items():
        row[name] = figure["mean"]
        row[f"{name}_spread"] = figure["spread"]
    return row
