"""The keys of the screen below, from the very bindings that it has."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table as Grid
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

SILENT = ("scroll_", "page_", "app.focus_", "focus_", "screen.copy", "command_palette")
"""What Textual brings along and nobody needs to be told."""
NAMES = {"question_mark": "?", "slash": "/", "space": "space", "plus": "+", "minus": "-", "left_square_bracket": "["}


class HelpScreen(ModalScreen[None]):
    """A list of keys and what they do here."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,f1,enter", "dismiss", "Close")]

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self._keys = keys_of(about)
        self._title = getattr(about, "HELP", "") or type(about).__doc__ or ""

    def compose(self) -> ComposeResult:
        grid = Grid.grid(padding=(0, 2))
        for keys, what in self._keys:
            grid.add_row(Text(keys, "bold"), what)
        with VerticalScroll(id="help", classes="dialog") as box:
            box.border_title = "Keys"
            yield Static(Text(" ".join(self._title.split())), classes="note")
            yield Static(grid)


def keys_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """(keys, what they do) of everything that can be pressed on a screen, each action once."""
    found: dict[tuple[str, str], list[str]] = {}
    own = [active for active in screen.active_bindings.values() if not active.binding.action.startswith(SILENT)]
    for active in sorted(own, key=lambda active: active.node is not screen):
        binding = active.binding
        if binding.description:
            key = binding.key_display or NAMES.get(binding.key, binding.key)
            found.setdefault((binding.action, binding.description), []).append(key)
    return [(" ".join(dict.fromkeys(keys)), what) for (_, what), keys in found.items()]
