"""A page of fields with help, and what is wrong beside each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from prunetui.errors import Mistake
from prunetui.tui.screens.configure.field_row import FieldRow, row_of
from prunetui.tui.screens.configure.fields import Spec
from prunetui.tui.screens.configure.mistake_places import contains, dotted
from prunetui.tui.screens.configure.pick import Pick
from prunetui.tui.screens.configure.study_draft import Draft, Path, shown

STEPS: list[BindingType] = [
    Binding("up", "neighbour(-1)", "Field above", show=False),
    Binding("down", "neighbour(1)", "Field below", show=False),
]
VIM: list[BindingType] = [
    Binding("k", "neighbour(-1)", "Field above", show=False),
    Binding("j", "neighbour(1)", "Field below", show=False),
    Binding("g", "neighbour(-1000)", "First field", show=False),
    Binding("G", "neighbour(1000)", "Last field", show=False),
]


class Form(VerticalScroll, can_focus=False):
    """Edits a draft in place and tells that it did."""

    BINDINGS: ClassVar[list[BindingType]] = [*STEPS, *VIM]

    class Edited(Message):
        """The draft is another."""

    def __init__(
        self, draft: Draft, outside: Draft, specs: Sequence[Spec], about: Text | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.draft, self.outside, self.specs, self.about = draft, outside, tuple(specs), about
        self.elsewhere: tuple[str, ...] = ()
        """Keys that other pages show."""
        self._mistakes: tuple[Mistake, ...] = ()

    def compose(self) -> ComposeResult:
        if self.about is not None and len(self.about):
            yield Static(self.about, classes="about")
        yield from self._rows()

    def _rows(self) -> list[FieldRow]:
        rows = []
        for spec in self.specs:
            rows.append(FieldRow(spec, self._value(spec)))
            if spec.kind == "variant":
                kind = self._value(spec) or spec.default
                rows += [FieldRow(inner, self._value(inner)) for inner in spec.variants.get(str(kind), ())]
        return rows + self._strange([row.spec for row in rows])

    def _strange(self, specs: Sequence[Spec]) -> list[FieldRow]:
        """What an editor left and the schema does not know: it can be read and emptied here."""
        known = {spec.path for spec in specs}
        tables = dict.fromkeys(spec.path[:-1] for spec in specs if not spec.outside and spec.kind != "variant")
        tables |= dict.fromkeys(spec.path for spec in specs if spec.kind == "variant")
        rows = []
        for table in tables:
            given = self.draft.get(table)
            for key in given if isinstance(given, dict) else ():
                path = (*table, key)
                if path not in known and key not in ("name", *self.elsewhere):
                    rows.append(
                        FieldRow(Spec(path, "value", "Nobody knows this key: empty it to remove it."), given[key])
                    )
        return rows

    def _draft(self, spec: Spec) -> Draft:
        return self.outside if spec.outside else self.draft

    def _value(self, spec: Spec) -> Any:
        return self._draft(spec).get((*spec.path, "name") if spec.kind == "variant" else spec.path)

    # Editing --------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        row = row_of(event.input)
        event.stop()
        if event.value != row.text_of(self._value(row.spec)):
            self._set(row.spec, row.value_of(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_neighbour(1)

    def on_pick_changed(self, event: Pick.Changed) -> None:
        row = row_of(event.pick)
        event.stop()
        if row.spec.kind == "variant":
            self._change_variant(row.spec, event.value)
        else:
            self._set(row.spec, event.value)

    def _set(self, spec: Spec, value: Any) -> None:
        self._draft(spec).set(spec.path, value)
        self.post_message(self.Edited())

    def _change_variant(self, spec: Spec, kind: str | None) -> None:
        """Another kind of table keeps what it has in common with the one before."""
        before = self.draft.get(spec.path)
        known = {inner.label for inner in spec.variants.get(kind or "", ())}
        kept = {k: v for k, v in before.items() if k in known} if isinstance(before, dict) else {}
        self.draft.set(spec.path, {"name": kind, **kept} if kind else None)
        self.post_message(self.Edited())
        self.run_worker(self._again(spec.path), exclusive=True)

    async def _again(self, path: Path) -> None:
        """Show other fields, with the focus where it was."""
        with self.app.batch_update():
            await self.query(FieldRow).remove()
            await self.mount(*self._rows())
        self.show_mistakes(self._mistakes)
        self.go_to(path)

    # Showing --------------------------------------------------------------------------------------

    def show_mistakes(self, mistakes: tuple[Mistake, ...]) -> None:
        """Each field its own."""
        self._mistakes = mistakes
        rows = {row: [] for row in self.query(FieldRow)}  # type: dict[FieldRow, list[Mistake]]
        for mistake in mistakes:
            blamed = self._blamed(mistake)
            if blamed is not None:
                rows[blamed].append(mistake)
        for row, own in rows.items():
            row.tell(own)

    def show_silent(self, study: object) -> None:
        """What holds where nothing is set may hang on other keys: a checkpoint turns training off."""
        for row in self.query(FieldRow):
            if row.spec.kind in ("value", "list") and not row.spec.outside:
                holds = study
                for part in row.spec.path:
                    holds = getattr(holds, str(part), None)
                row.query_one(Input).placeholder = row.spec.silent if holds is None else shown(holds)

    def show_again(self, paths: Sequence[Path]) -> None:
        """Fields whose values changed by something else than typing."""
        for row in self.query(FieldRow):
            if row.spec.path not in paths:
                continue
            value, control = self._value(row.spec), row.control
            if isinstance(control, Input):
                control.value = row.text_of(value)
            elif isinstance(control, Pick):
                control.value = value
                control.refresh()

    def _blamed(self, mistake: Mistake) -> FieldRow | None:
        """The field a mistake is about: the innermost that contains its place."""
        rows = [row for row in self.query(FieldRow) if contains(dotted(row.spec.path), mistake.path)]
        return max(rows, key=lambda row: len(row.spec.path), default=None)

    def go_to_mistake(self, mistake: Mistake) -> None:
        """Focus the field a mistake is about, or the first."""
        blamed = self._blamed(mistake)
        self.go_to(blamed.spec.path if blamed is not None else None)

    def go_to(self, path: Path | None = None) -> None:
        """Focus a field; without a path the first."""
        rows = list(self.query(FieldRow))
        row = next((row for row in rows if row.spec.path == path), rows[0] if rows else None)
        if row is not None:
            row.control.focus()

    def action_neighbour(self, by: int) -> None:
        """Focus a field above or below."""
        rows = list(self.query(FieldRow))
        at = next((i for i, row in enumerate(rows) if row.has_focus_within), 0)
        if rows:
            after = rows[max(0, min(len(rows) - 1, at + by))]
            after.control.focus()
            after.scroll_visible(animate=False)
