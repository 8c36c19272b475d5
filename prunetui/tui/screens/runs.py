"""Every run in the store: find one, open it, compare several, begin another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from prunetui.store import Run, Status
from prunetui.tui.filters import fits
from prunetui.tui.screens.dialogs import Choice, Line
from prunetui.tui.views import LIVE, ORDER, Entry
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.table import Column, Table
from prunetui.tui.words import ago, bar, clock, percent, state_text

if TYPE_CHECKING:
    from prunetui.tui.app import PrunetuiApp

EMPTY = """No runs in {root} yet.

Press n to configure a study and start it, or leave and run
  prunetui --batch         the quickstart: handwritten digits, a minute, no GPU
  prunetui --batch STUDY   a study file; prunetui init writes one

Runs that any process starts in this folder appear here by themselves."""


class RunsScreen(Screen[None]):
    """Runs, live ones first. Type / to filter by words or key:value (state: model: data: method: device:)."""

    app: PrunetuiApp
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

    def __init__(self) -> None:
        super().__init__()
        self._sorted: tuple[tuple[Entry, ...] | None, tuple[str, bool], list[Entry]] = (None, ("", False), [])
        """Which entries, in which order, in that order."""

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        yield Input(placeholder="filter: words, or key:value as in state:done model:resnet18", id="filter")
        yield Table[Entry](self._columns(), key=lambda entry: entry.id, id="runs")
        yield Static("", id="empty")
        yield Keys()

    def on_mount(self) -> None:
        self._table.sorted_by = (self.app.settings.sort, self.app.settings.descending)
        self.query_one("#filter").display = False
        self._table.focus()
        self.query_one("#empty").display = False
        self.query_one("#title", Static).update(Text(f"prunetui  {self.app.root}  looking"))
        self._again()
        self.set_interval(10, self._age)

    @property
    def _table(self) -> Table[Entry]:
        return self.query_one("#runs", Table)

    def _columns(self) -> list[Column[Entry]]:
        now: Callable[[], float] = self.app.now

        def status(name: str) -> Callable[[Entry], Any]:
            return lambda entry: getattr(entry.status, name, None) if entry.status else None

        def word(name: str) -> Callable[[Entry], str]:
            return lambda entry: str(status(name)(entry) or "")

        def progress(entry: Entry) -> str:
            if entry.place:
                return f"{entry.place}. in queue"
            if entry.status is None:
                return ""
            over = f"{entry.status.done + entry.status.failed}/{entry.status.trials}"
            left = entry.seconds_left(now())
            live = entry.state in ("running", "paused")
            shown = f"{bar(entry.fraction, 6, self.app.settings.ascii)} " if live else ""
            return f"{shown}{over}{f' {clock(left)}' if left is not None else ''}"

        def methods(entry: Entry) -> str:
            return ", ".join(entry.status.methods) if entry.status else ""

        def number(name: str) -> Callable[[Entry], float]:
            return lambda entry: -1.0 if status(name)(entry) is None else float(status(name)(entry))

        return [
            Column("state", "state", lambda e: state_text(e.state), lambda e: ORDER.get(e.state, 9), least=13),
            Column("name", "name", lambda e: e.name, lambda e: e.name.lower(), least=12, most=34, enough=16),
            Column("progress", "trials", progress, lambda e: e.fraction, least=17),
            Column("model", "model", word("model"), word("model"), least=5),
            Column("data", "data", word("data"), word("data"), least=5, drop=1),
            Column("methods", "methods", methods, methods, least=12, most=40, drop=2, enough=12),
            Column("dense", "dense", lambda e: percent(status("top1_dense")(e)), number("top1_dense"), True, 5),
            Column("best", "best", lambda e: percent(status("top1_best")(e)), number("top1_best"), True, 5),
            Column("age", "age", lambda e: ago(e.age(now())) if e.status else "", lambda e: e.age(now()), True, 3),
        ]

    # Showing --------------------------------------------------------------------------------------

    def show_runs(self, entries: tuple[Entry, ...]) -> None:
        """The runs that fit the filter, live ones first, in the chosen order."""
        typed = self.query_one("#filter", Input).value
        chosen = [entry for entry in self._ordered(entries) if not typed or fits(typed, entry.fields)]
        self._table.show(chosen)
        none = not entries
        self._table.set_class(none, "bare")  # not hidden: keys would go to whatever gets the focus instead
        self.query_one("#empty").display = none
        if none:
            self.query_one("#empty", Static).update(Text(EMPTY.format(root=self.app.root)))
        running = sum(entry.state in ("running", "paused") for entry in entries)
        waiting = sum(entry.place > 0 for entry in entries)
        count = f"{len(entries)} run{'s' if len(entries) != 1 else ''}"
        words = [count if not typed else f"{len(chosen)} of {count}"]
        words += [f"{running} running"] if running else []
        words += [f"{waiting} in the queue"] if waiting else []
        self.query_one("#title", Static).update(Text(f"prunetui  {self.app.root}  {', '.join(words)}"))

    def _ordered(self, entries: tuple[Entry, ...]) -> list[Entry]:
        """All of them in the chosen order, which is found once and not for each letter of a filter."""
        by, down = asked = self._table.sorted_by
        if self._sorted[0] is not entries or self._sorted[1] != asked:
            column = next((c for c in self._table.columns if c.key == by), self._table.columns[-1])
            ordered = sorted(entries, key=column.order, reverse=down)
            self._sorted = (entries, asked, sorted(ordered, key=_live_first))
        return self._sorted[2]

    def _again(self) -> None:
        if self.app.entries is not None:
            self.show_runs(self.app.entries)

    def _age(self) -> None:
        if self.app.screen is self and any(e.state in LIVE for e in self.app.entries or ()):
            self._table.refresh()

    def on_input_changed(self) -> None:
        self._again()

    def on_input_submitted(self) -> None:
        self._table.focus()

    def on_table_opened(self, event: Table.Opened) -> None:
        self.action_open()

    def on_table_sort_asked(self, event: Table.SortAsked) -> None:
        self._sort_by(event.column)

    def _sort_by(self, column: str) -> None:
        by, down = self._table.sorted_by
        self._table.sorted_by = (column, not down if by == column else False)
        self.app.remember(sort=column, descending=self._table.sorted_by[1])
        self._again()

    # Actions --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self._table.current is not None:
            self.app.open_run(self._table.current.id)

    def action_new(self) -> None:
        """Configure a new study."""
        self.app.open_configure()

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
        self._table.unmark()
        self._table.focus()
        self._again()

    def action_mark(self) -> None:
        """Mark the run under the cursor."""
        self._table.toggle_mark()

    def action_compare(self) -> None:
        """Compare the marked runs."""
        chosen = self._table.chosen
        if len(chosen) < 2:
            self.notify("Mark two or more runs with space, then press c.", severity="warning")
        else:
            self.app.open_compare([entry.id for entry in chosen])

    def action_duplicate(self) -> None:
        """Begin a new study from the run under the cursor."""
        if self._table.current is not None:
            self.app.open_configure(self._table.current.id)

    def action_resume(self) -> None:
        """Queue the marked runs that are not done."""
        chosen = [e for e in self._table.chosen if e.state in ("interrupted", "failed", "waiting")]
        for entry in chosen:
            self.app.queue.add(entry.id)
        if chosen:
            self.notify(f"{len(chosen)} run{'s' if len(chosen) > 1 else ''} in the queue")
        else:
            self.notify("Only interrupted and failed runs can be resumed.", severity="warning")
        self.app.look_again()

    def action_earlier(self) -> None:
        """Bring a waiting run forward."""
        self._move(-1)

    def action_later(self) -> None:
        """Put a waiting run back."""
        self._move(1)

    def _move(self, by: int) -> None:
        entry = self._table.current
        if entry is not None and entry.place:
            self.app.queue.move(entry.id, by)
            self.app.look_again()

    @work
    async def action_sort(self) -> None:
        """Choose what to sort by."""
        answers = [(column.key, column.title) for column in self._table.columns]
        chosen = await self.app.push_screen_wait(Choice("Sort", "by (again: the other way round)", answers))
        if chosen:
            self._sort_by(chosen)

    @work
    async def action_rename(self) -> None:
        """Give the run under the cursor another name."""
        entry = self._table.current
        if entry is None or self._renamable(entry) is None:
            return
        name = await self.app.push_screen_wait(Line("Rename", "What the run is called in lists:", entry.name))
        status = self._renamable(entry) if name else None
        if name and status:
            Run(entry.folder).write_status(replace(status, name=name[:80]))
            self.app.look_again()

    def _renamable(self, entry: Entry) -> Status | None:
        """The status as it is now, unless the run's process writes it itself."""
        status = Run(entry.folder).status()
        if status is not None and status.state == "running":
            self.notify("A run can be renamed when it is over.", severity="warning")
            return None
        return status

    @work
    async def action_delete(self) -> None:
        """Delete the marked runs, after asking."""
        chosen = self._table.chosen
        live = [entry for entry in chosen if entry.state in ("running", "paused")]
        if live:
            self.notify(f"{live[0].name} is running; stop it first.", severity="warning")
            return
        if not chosen:
            return
        names = ", ".join(entry.name for entry in chosen[:3]) + (" ..." if len(chosen) > 3 else "")
        many = f"{len(chosen)} runs" if len(chosen) > 1 else "this run"
        answer = await self.app.push_screen_wait(
            Choice("Delete", f"{names}: results and models go for good.", [("no", "Keep"), ("yes", f"Delete {many}")])
        )
        if answer == "yes":
            self._delete(chosen)

    @work(thread=True)
    def _delete(self, chosen: list[Entry]) -> None:
        for entry in chosen:
            self.app.queue.remove(entry.id)
            try:
                shutil.rmtree(entry.folder)
            except OSError as error:
                self.app.call_from_thread(self.notify, f"{entry.name}: {error.strerror}", severity="error")
        self.app.call_from_thread(self._table.unmark)
        self.app.look_again()


def _live_first(entry: Entry) -> tuple[int, int]:
    """Running, then waiting in the queue's order, then all others as they were."""
    return (ORDER.get(entry.state, 0) if entry.state in (*LIVE, "paused") else 9, entry.place)
