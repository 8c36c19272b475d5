"""What a study will take: its numbers, and its trials as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table as Grid
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from prunetui.errors import MOST_TOLD
from prunetui.terminal.durations import clock
from prunetui.tui.screens.configure.draft_checks import Checked
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable
from prunetui.tui.words import size

if TYPE_CHECKING:  # it imports pydantic
    from prunetui.plan.estimate import Estimate, TrialPlan

UNKNOWN = "unknown"
WRONG = "#ff6b5e"
SENSITIVITY = (
    "One trial for each layer, or group of coupled channels, of each method: how many there are the network tells "
    "when the run starts."
)


def about_time(plan: Estimate) -> str:
    """How long it takes, as far as it is known."""
    if plan.seconds is None:
        return UNKNOWN
    return f"{'at most' if plan.left is None else 'about'} {clock(max(1.0, plan.seconds))}"


def numbers(plan: Estimate) -> list[tuple[str, str]]:
    """The numbers of a plan, and why some are unknown."""
    controls = sum(row.trial.method == "dense" for row in plan.trials)
    lines = [
        ("trials", f"{len(plan.trials)}, {controls} of them the dense control"),
        ("steps", f"{plan.steps}, {plan.shared} shared between trials"),
    ]
    if plan.found is None:
        lines.append(("cached", f"{UNKNOWN}: no run of these images and this model on this device yet"))
    else:
        lines.append(("cached", f"{plan.found} found, {plan.left} to compute"))
    i = plan.images
    counted = (
        f"{i.train:,} training, {i.validation:,} validation, {i.test:,} test" if i else f"{UNKNOWN}: no such folder"
    )
    why = "" if plan.history.runs else ": no run of this model and data yet"
    lines += [
        ("images", counted or f"{UNKNOWN}: no such folder"),
        ("time", about_time(plan) + (why if plan.seconds is None else "")),
        ("disk", f"{UNKNOWN}{why}" if plan.bytes is None else f"about {size(plan.bytes, 1024)}B"),
    ]
    return lines


def summary(plan: Estimate) -> Grid:
    """The numbers under each other, and the runs they come from."""
    grid = Grid.grid(padding=(0, 2))
    for key, words in numbers(plan):
        grid.add_row(Text(key, "bold"), Text(words))
    if plan.history.runs:
        grid.add_row(Text("from", "dim"), Text("\n".join(plan.history.runs), "dim", no_wrap=True, overflow="crop"))
    return grid


def mistakes_text(checked: Checked) -> Text:
    """Every mistake with its place."""
    count = len(checked.mistakes)
    text = Text(f"{count} mistake{'s' if count != 1 else ''}: nothing can be started.\n", f"bold {WRONG}")
    for mistake in checked.mistakes[:MOST_TOLD]:
        text.append(f"\n{mistake.path or 'the study'}", "bold")
        text.append(f"  {mistake.message}")
        for what, value in (("got", mistake.got), ("did you mean", mistake.nearest)):
            text.append(f"; {what} {value}" if value else "")
        if mistake.allowed and not mistake.nearest:
            text.append(f"; allowed: {mistake.allowed}", "dim")
    return text


class PlanPane(Vertical):
    """The plan of a right study, or what is wrong with it."""

    def __init__(self, columns: Sequence[str] = (), **more: Any) -> None:
        super().__init__(**more)
        self._columns = columns
        self.checked: Checked | None = None
        self.plan: Estimate | None = None

    def compose(self) -> ComposeResult:
        yield Static(Text("looking", "dim"), classes="plan-words")
        columns: list[Column[TrialPlan]] = [
            Column("label", "method", lambda r: r.trial.label, lambda r: r.trial.label, least=12),
            Column("schedule", "schedule", lambda r: r.trial.schedule, lambda r: r.trial.schedule, least=8),
            Column("target", "target", lambda r: r.trial.identity()["target"], lambda r: r.trial.value, least=14),
            Column("seed", "seed", lambda r: str(r.trial.seed), lambda r: r.trial.seed, True),
            Column("steps", "steps", lambda r: str(r.steps), lambda r: r.steps, True),
            Column("left", "new", _left, lambda r: r.left or 0, True),
        ]
        columns = [column for column in columns if not self._columns or column.key in self._columns]
        yield VirtualTable(columns, key=lambda r: r.trial.id, classes="plan-table")

    def show(self, checked: Checked, plan: Estimate | None) -> None:
        """Another plan, or other mistakes."""
        self.checked, self.plan = checked, plan
        words, table = self.query_one(".plan-words", Static), self.query_one(VirtualTable)
        table.display = plan is not None and bool(plan.trials)
        if checked.mistakes:
            words.update(mistakes_text(checked))
        elif plan is not None and checked.study is not None:
            words.update(Text(SENSITIVITY) if checked.study.kind == "sensitivity" else summary(plan))
            table.show(plan.trials)
        else:
            words.update(Text("looking", "dim"))


def _left(row: TrialPlan) -> str:
    return "?" if row.left is None else str(row.left)
