"""The methods there are, by family: those of the study are ticked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from prunetui.errors import Mistake
from prunetui.plugins.method_catalogue import MethodInfo
from prunetui.tui.screens.configure.mistake_places import contains, in_words
from prunetui.tui.screens.configure.study_draft import Draft, toml_value
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable

COMMON = ("name", "label")


@dataclass(frozen=True)
class MethodRow:
    """A method, and its place in the study if it is there; once for every time it is."""

    info: MethodInfo
    place: int | None
    title: str
    settings: str
    wrong: bool
    first: bool
    """The first of its family."""


class MethodPicker(Vertical):
    """Space takes a method into the study or out of it, enter opens its options, / searches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "take", "Take"),
        Binding("plus", "another", "Once more", key_display="+", show=False),
        Binding("slash", "search", "Search", key_display="/"),
    ]

    class Edited(Message):
        """The draft is another."""

    class OptionsAsked(Message):
        """Show what a method of the study can be told."""

        def __init__(self, info: MethodInfo, place: int) -> None:
            self.info, self.place = info, place
            super().__init__()

    def __init__(self, draft: Draft, known: Sequence[MethodInfo], **more: Any) -> None:
        super().__init__(**more)
        self.draft = draft
        self._known = sorted(known, key=lambda info: (info.family, info.name))
        self._kept: dict[str, dict[str, Any]] = {}
        """What was set of methods that were taken out: it comes back with them."""
        self._mistakes: tuple[Mistake, ...] = ()

    def compose(self) -> ComposeResult:
        yield Input(placeholder="search: words of a name, a family or a summary", compact=True, id="search")
        columns: list[Column[MethodRow]] = [
            Column("in", "", _tick, lambda r: r.place is None, least=3, most=3),
            Column("family", "family", lambda r: r.info.family if r.first else "", lambda r: r.info.family, least=8),
            Column("name", "method", _name, lambda r: r.title, least=16, most=30),
            Column(
                "what", "what it does", lambda r: r.settings or r.info.summary, lambda r: r.title, least=10, most=200
            ),
        ]
        yield VirtualTable[MethodRow](columns, key=lambda r: f"{r.info.name} {r.place}", id="known")
        yield Static("", id="method-about")

    def on_mount(self) -> None:
        self.fill()

    @property
    def table(self) -> VirtualTable[MethodRow]:
        return self.query_one("#known", VirtualTable)

    def fill(self) -> None:
        """The methods that fit what is searched."""
        words = self.query_one("#search", Input).value.lower().split()
        rows: list[MethodRow] = []
        for info in self._known:
            text = f"{info.name} {info.family} {info.summary} {info.source}".lower()
            if all(word in text for word in words):
                rows += self._rows_of(info, first=not rows or rows[-1].info.family != info.family)
        current = self.table.cursor
        self.table.show(rows)
        self.table.cursor = min(current, max(0, len(rows) - 1))
        self._tell()

    def _rows_of(self, info: MethodInfo, first: bool) -> list[MethodRow]:
        found: list[MethodRow] = []
        places: Sequence[int | None] = self.draft.places(info.name) or [None]
        for place in places:
            given = self.draft.get(("methods", place)) if place is not None else {}
            settings = ", ".join(f"{k} = {toml_value(v)}" for k, v in given.items() if k not in COMMON)
            wrong = place is not None and any(contains(f"methods[{place}]", m.path) for m in self._mistakes)
            title = str(given.get("label") or info.name)
            found.append(MethodRow(info, place, title, settings, wrong, first and not found))
        return found

    def show_mistakes(self, mistakes: tuple[Mistake, ...]) -> None:
        """Mark the methods that something is wrong with."""
        self._mistakes = mistakes
        self.fill()

    def _tell(self) -> None:
        row = self.table.current
        if row is None:
            self.query_one("#method-about", Static).update(Text("No method fits these words.", "dim"))
            return
        text = Text.assemble((row.info.name, "bold"), f"  {row.info.summary}\n", (row.info.source, "dim"))
        if row.settings:
            text.append(f"\nhere: {row.settings}", "italic")
        for mistake in self._mistakes:
            if row.place is not None and contains(f"methods[{row.place}]", mistake.path):
                text.append(f"\n{in_words(mistake)}", "bold #ff6b5e")
        self.query_one("#method-about", Static).update(text)

    # What is done ---------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        event.stop()
        self._tell()

    def on_virtual_table_opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        row = self.table.current
        if row is not None:
            place = row.place if row.place is not None else self._take(row.info)
            self.post_message(self.OptionsAsked(row.info, place))

    def _take(self, info: MethodInfo) -> int:
        place = self.draft.add_method(self._kept.pop(info.name, {"name": info.name}))
        self.post_message(self.Edited())
        self.fill()
        return place

    def action_take(self) -> None:
        """Take the method under the cursor into the study, or out of it."""
        row = self.table.current
        if row is None:
            return
        if row.place is None:
            self._take(row.info)
            return
        self._kept[row.info.name] = self.draft.remove_method(row.place)
        self.post_message(self.Edited())
        self.fill()

    def action_another(self) -> None:
        """Take the method a second time, to set it differently."""
        row = self.table.current
        if row is not None:
            self.draft.add_method({"name": row.info.name})
            self.post_message(self.Edited())
            self.fill()

    def action_search(self) -> None:
        """Search the methods."""
        self.query_one("#search", Input).focus()

    def go_to_mistake(self, mistake: Mistake) -> None:
        """Put the cursor on the method a mistake is about."""
        self.query_one("#search", Input).value = ""
        self.fill()
        for i, row in enumerate(self.table.rows):
            if row.place is not None and contains(f"methods[{row.place}]", mistake.path):
                self.table.cursor = i
        self.table.focus()

    def clear_search(self) -> bool:
        """Forget what was searched; False when nothing was."""
        box = self.query_one("#search", Input)
        if not (box.value or box.has_focus):
            return False
        box.value = ""
        self.table.focus()
        return True


def _tick(row: MethodRow) -> Text:
    if row.wrong:
        return Text("[!]", "bold #ff6b5e")
    return Text("[ ]", "dim") if row.place is None else Text("[x]", "bold")


def _name(row: MethodRow) -> Text:
    return Text(row.title, "" if row.place is None else "bold")


def about(info: MethodInfo) -> Text:
    """A method in full, above its options."""
    targets = ", ".join(info.targets)
    schedules = ", ".join(info.schedules) or "all but dynamic"
    doc = " ".join(info.doc.split())
    return Text.assemble(
        (info.name, "bold"), f"  {doc}\n", (f"{info.source}; targets: {targets}; schedules: {schedules}", "dim")
    )
