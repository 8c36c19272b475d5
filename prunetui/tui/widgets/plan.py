"""What a study will take: its numbers, and its trials as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from prunetui.tui.checks import Checked
from prunetui.tui.widgets.table import Column, Table
from prunetui.tui.words import clock, size

if TYPE_CHECKING:  # it imports pydantic
    from prunetui.estimate import Estimate, TrialPlan

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


def summary(plan: Estimate, sensitivity: bool = False) -> Text:
    """The numbers of a plan, one a line, with why some are unknown."""
    if sensitivity:
        return Text(SENSITIVITY)
    controls = sum(row.trial.method == "dense" for row in plan.trials)
    lines = [("trials", f"{len(plan.trials)}, {controls} of them the dense control")]
    lines.append(("steps", f"{plan.steps}, {plan.shared} shared between trials"))
    if plan.found is None:
        lines.append(("cached", f"{UNKNOWN}: no run of these images and this model on this device yet"))
    else:
        lines.append(("cached", f"{plan.found} found, {plan.left} to compute"))
    if plan.images is None:
        lines.append(("images", f"{UNKNOWN}: no such folder"))
    else:
        i = plan.images
        lines.append(("images", f"{i.train:,} training, {i.validation:,} validation, {i.test:,} test"))
    why = "" if plan.history.runs else ": no run of this model and data yet"
    lines.append(("time", about_time(plan) + (why if plan.seconds is None else "")))
    disk = f"{UNKNOWN}{why}" if plan.bytes is None else f"about {size(plan.bytes, 1024)}B"
    lines.append(("disk", disk))
    text = Text()
    for key, words in lines:
        text.append(f"{key:<8}", "bold")
        text.append(f"{words}\n")
    if plan.history.runs:
        text.append(f"from {', '.join(plan.history.runs)}", "dim")
    return text


def mistakes_text(checked: Checked) -> Text:
    """Every mistake with its place."""
    count = len(checked.mistakes)
    text = Text(f"{count} mistake{'s' if count != 1 else ''}: nothing can be started.\n", f"bold {WRONG}")
    for mistake in checked.mistakes:
        text.append(f"\n{mistake.path or 'the study'}", "bold")
        text.append(f"  {mistake.message}")
        for what, value in (("got", mistake.got), ("did you mean", mistake.nearest)):
            text.append(f"; {what} {value}" if value else "")
        if mistake.allowed and not mistake.nearest:
            text.append(f"; allowed: {mistake.allowed}", "dim")
    return text


class Plan(Vertical):
    """The plan of a right study, or what is wrong with it."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.checked: Checked | None = None
        self.plan: Estimate | None = None

    def compose(self) -> ComposeResult:
        yield Static(Text("looking", "dim"), classes="plan-words")
        columns: list[Column[TrialPlan]] = [
            Column("label", "method", lambda r: r.trial.label, lambda r: r.trial.label, least=12),
            Column("schedule", "schedule", lambda r: r.trial.schedule, lambda r: r.trial.schedule, least=8),
            Column("target", "target", lambda r: r.trial.identity()["target"], lambda r: r.trial.value, least=8),
            Column("seed", "seed", lambda r: str(r.trial.seed), lambda r: r.trial.seed, True),
            Column("steps", "steps", lambda r: str(r.steps), lambda r: r.steps, True),
            Column("left", "new", _left, lambda r: r.left or 0, True),
        ]
        yield Table(columns, key=lambda r: r.trial.id, classes="plan-table")

    def show(self, checked: Checked, plan: Estimate | None) -> None:
        """Another plan, or other mistakes."""
        self.checked, self.plan = checked, plan
        words, table = self.query_one(".plan-words", Static), self.query_one(Table)
        table.display = plan is not None and bool(plan.trials)
        if checked.mistakes:
            words.update(mistakes_text(checked))
        elif plan is not None and checked.study is not None:
            words.update(summary(plan, checked.study.kind == "sensitivity"))
            table.show(plan.trials)
        else:
            words.update(Text("looking", "dim"))


def _left(row: TrialPlan) -> str:
    return "?" if row.left is None else str(row.left)
