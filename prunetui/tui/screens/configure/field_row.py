"""One field of a form: its name, its control, its help and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from prunetui.errors import Mistake
from prunetui.tui.screens.configure.fields import Spec
from prunetui.tui.screens.configure.mistake_places import in_words
from prunetui.tui.screens.configure.pick import Pick
from prunetui.tui.screens.configure.study_draft import shown, toml_value, typed_list, typed_value


class FieldRow(Vertical):
    """A field: its name, its control, its help and its mistake."""

    def __init__(self, spec: Spec, value: Any) -> None:
        super().__init__()
        self.spec, self.start_value = spec, value

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(Text(self.spec.label), classes="field-key")
            yield self._control()
        told = self.spec.told.get(str(self.start_value or self.spec.default), self.spec.help)
        yield Static(Text(told), classes="field-help")
        yield Static("", classes="field-mistake")

    def _control(self) -> Widget:
        spec, value = self.spec, self.start_value
        if spec.kind == "switch":
            choices: tuple[Any, ...] = (True, False)
            return Pick(choices, value, spec.default, "", classes="control")
        if spec.kind in ("choice", "variant"):
            words = spec.unset if spec.default is None else f"{spec.default} (default)"
            known = value if value is None or isinstance(value, str) else toml_value(value)
            return Pick(spec.choices, known, spec.default, words, spec.told, classes="control")
        return Input(
            self.text_of(value), placeholder=spec.silent, compact=True, select_on_focus=False, classes="control"
        )

    def text_of(self, value: Any) -> str:
        """What the field shows for a value."""
        return "" if value is None else value if self.spec.kind == "text" and isinstance(value, str) else shown(value)

    def value_of(self, text: str) -> Any:
        """The value that is typed; None where nothing is."""
        if not text.strip():
            return None
        if self.spec.kind == "text":
            return text
        return typed_list(text) if self.spec.kind == "list" else typed_value(text)

    def tell(self, mistakes: Sequence[Mistake]) -> None:
        """Say what is wrong, or nothing."""
        self.set_class(bool(mistakes), "wrong")
        self.query_one(".field-mistake", Static).update(Text("\n".join(map(in_words, mistakes))))

    @property
    def control(self) -> Widget:
        return self.query_one(".control")


def row_of(widget: Widget) -> FieldRow:
    """The row that a control is in."""
    return next(node for node in widget.ancestors if isinstance(node, FieldRow))
