"""Every run in the store: find one, open it, compare several, begin another."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from prunetui.tui.filters import fits
from prunetui.tui.navigation import OpenCompare, OpenConfigure, OpenRun
from prunetui.tui.screens.dialogs import sort_choice
from prunetui.tui.screens.runs.run_actions import RunActions
from prunetui.tui.screens.runs.runs_table import Runs
from prunetui.tui.session import Session
from prunetui.tui.views import LIVE, Entry
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.line import OneLine
from prunetui.tui.widgets.virtual_table import VirtualTable

EMPTY = """No runs in {root} yet.

Press n to configure a study and start it, or leave and run
  prunetui --batch         the quickstart: digits, a minute, no GPU
  prunetui --batch STUDY   a study file; prunetui init writes one

Runs that any process starts in this folder appear here by themselves."""


class RunsScreen(RunActions):
    """Runs, live ones first. Type / to filter by words or key:value (state: model: data: method: device:)."""

    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open"),
        Binding("n", "new", "New study"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("space", "mark", "Mark"),
        Binding("c", "compare", "Compare"),
        Binding("r", "resume", "Resume"),
        Binding("d", "duplicate", "Duplicate"),
        Binding("s", "sort", "Sort"),
        Binding("e", "rename", "Rename", show=False),
        Binding("x,delete", "delete", "Delete"),
        Binding("plus", "later", "Later in the queue", show=False),
        Binding("minus", "earlier", "Earlier in the queue", show=False),
        Binding("escape", "clear", "Clear filter and marks", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._impossible: frozenset[str] = frozenset()

    def compose(self) -> ComposeResult:
        yield OneLine(id="title")
        yield Input(placeholder="filter: words, or key:value as in state:done model:resnet18", id="filter")
        yield Runs(self.session.now, self.session.settings.ascii, id="runs")
        yield Static("", id="empty")
        yield Keys()

    def on_mount(self) -> None:
        self.table.sorted_by = (self.session.settings.sort, self.session.settings.descending)
        self.query_one("#filter").display = False
        self.table.focus()
        self.query_one("#empty").display = False
        self.query_one("#title", OneLine).show(Text(f"prunetui  {self.session.root}  looking"))
        self.set_interval(10, self._age)

    def on_screen_resume(self) -> None:
        self._again()

    # Showing --------------------------------------------------------------------------------------

    def show_runs(self, entries: tuple[Entry, ...]) -> None:
        """The runs that fit the filter, live ones first, in the chosen order."""
        typed = self.query_one("#filter", Input).value
        chosen = [entry for entry in self.table.ordered(entries) if not typed or fits(typed, entry.fields)]
        self.table.show(chosen)
        none = not entries
        self.table.set_class(none, "bare")  # not hidden: keys would go to whatever gets the focus instead
        self.query_one("#empty").display = none
        if none:
            self.query_one("#empty", Static).update(Text(EMPTY.format(root=self.session.root)))
        running = sum(entry.state in ("running", "paused") for entry in entries)
        waiting = sum(entry.place > 0 for entry in entries)
        count = f"{len(entries)} run{'s' if len(entries) != 1 else ''}"
        words = [count if not typed else f"{len(chosen)} of {count}"]
        words += [f"{running} running"] if running else []
        words += [f"{waiting} in the queue"] if waiting else []
        self.query_one("#title", OneLine).show(Text(f"prunetui  {self.session.root}  {', '.join(words)}"))
        self._show_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the runs that are marked or under the cursor."""
        return action not in self._impossible

    def _show_keys(self) -> None:
        impossible = self.impossible()
        if impossible != self._impossible:
            self._impossible = impossible
            self.refresh_bindings()

    def _again(self) -> None:
        if self.session.entries is not None:
            self.show_runs(self.session.entries)

    def _age(self) -> None:
        if self.app.screen is self and any(e.state in LIVE for e in self.session.entries or ()):
            self.table.refresh()

    def on_input_changed(self) -> None:
        self._again()

    def on_input_submitted(self) -> None:
        self.table.focus()

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        self._show_keys()

    def on_virtual_table_opened(self, event: VirtualTable.Opened) -> None:
        self.action_open()

    def on_virtual_table_sort_asked(self, event: VirtualTable.SortAsked) -> None:
        self._sort_by(event.column)

    def _sort_by(self, column: str) -> None:
        self.table.turn_order(column)
        self.session.remember(sort=column, descending=self.table.sorted_by[1])
        self._again()

    # Actions --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self.table.current is not None:
            self.app.post_message(OpenRun(self.table.current.id))

    def action_new(self) -> None:
        """Configure a new study."""
        self.app.post_message(OpenConfigure())

    def action_filter(self) -> None:
        """Type a filter."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_clear(self) -> None:
        """Forget the filter and the marks."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self.table.unmark()
        self.table.focus()
        self._again()

    def action_mark(self) -> None:
        """Mark the run under the cursor."""
        self.table.toggle_mark()
        self._show_keys()

    def action_compare(self) -> None:
        """Compare the marked runs."""
        chosen = self.table.chosen
        if len(chosen) < 2:
            self.notify("Mark two or more runs with space, then press c.", severity="warning")
        else:
            self.app.post_message(OpenCompare([entry.id for entry in chosen]))

    def action_duplicate(self) -> None:
        """Begin a new study from the run under the cursor."""
        if self.table.current is not None:
            self.app.post_message(OpenConfigure(self.table.current.id))

    @work
    async def action_sort(self) -> None:
        """Choose what to sort by."""
        chosen = await self.app.push_screen_wait(sort_choice(self.table.columns))
        if chosen:
            self._sort_by(chosen)
