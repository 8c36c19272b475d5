"""Make a study: a form for every key, its mistakes as you type, its plan beside it, its TOML, and the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.worker import get_current_worker

from prunetui.errors import PrunetuiError
from prunetui.plugins.method_catalogue import catalogue
from prunetui.tui.screens.configure import draft_checks
from prunetui.tui.screens.configure.draft_checks import Checked
from prunetui.tui.screens.configure.fields import Section, sections
from prunetui.tui.screens.configure.pages import Nav, Pages
from prunetui.tui.screens.configure.plan_pane import PlanPane, about_time
from prunetui.tui.screens.configure.study_actions import StudyActions
from prunetui.tui.screens.configure.study_draft import Draft
from prunetui.tui.session import Session
from prunetui.tui.widgets.footer import Keys

if TYPE_CHECKING:
    from prunetui.plan.estimate import Estimate

WIDE = 120
"""Cells from which the plan stands beside the form."""
PATIENCE = 0.15
"""Seconds without another key before what was typed is checked."""


class Begun(Message):
    """There is something to begin from."""

    def __init__(self, draft: Draft, origin: str, found: list[Section]) -> None:
        self.draft, self.origin, self.sections = draft, origin, found
        super().__init__()


class Judged(Message):
    """What was typed has been checked, or its plan has been made."""

    def __init__(self, checked: Checked, plan: Estimate | None) -> None:
        self.checked, self.plan = checked, plan
        super().__init__()


class ConfigureScreen(StudyActions):
    """A study. Enter goes into a page, escape out of it; grey values are defaults, an emptied field is one again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("s", "start", "Start"),
        Binding("a", "enqueue", "Queue"),
        Binding("b", "begin", "Begin", tooltip="Begin from a preset or an earlier run"),
        Binding("e", "edit", "Editor"),
        Binding("w", "save", "Save"),
        Binding("y", "copy", "Copy"),
        Binding("m", "mistake", "Next mistake", show=False),
        Binding("v", "full", "All keys of the TOML, or few", show=False),
        Binding("ctrl+r", "start", "Start", show=False),
        Binding("ctrl+o", "edit", "Editor", show=False),
        Binding("ctrl+s", "save", "Save", show=False),
        Binding("ctrl+n", "mistake", "Next mistake", show=False),
        Binding("ctrl+down,right_square_bracket", "page(1)", "Next page", key_display="] ctrl+down", show=False),
        Binding("ctrl+up,left_square_bracket", "page(-1)", "Page before", key_display="[ ctrl+up", show=False),
    ]

    def __init__(self, session: Session, start: str) -> None:
        super().__init__()
        self.session = session
        self.start = start
        self.draft, self.clean, self.outside = Draft(), Draft(), Draft()
        self.sections: list[Section] = []
        self.checked: Checked | None = None
        self.plan: Estimate | None = None
        self._planned = ""
        """The text that the plan is of."""

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        with Horizontal(id="configure"):
            yield Nav(id="nav")
            yield Pages(id="page")
            with Vertical(id="side"):
                yield PlanPane(("label", "target", "left"), id="side-plan")
        yield Static("", id="verdict")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one("#title", Static).update("new study  reading")
        self.read_start(self.start)

    def on_resize(self, event: events.Resize) -> None:
        self.show_side()

    def show_side(self) -> None:
        """The plan beside the form, where there is room and it is not there already."""
        self.query_one("#side").display = self.size.width >= WIDE and self.query_one(Pages).key != "plan"

    # Beginning ------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="read")
    def read_start(self, start: str) -> None:
        """Read what to begin from, and the schema with it."""
        try:
            draft, origin = draft_checks.begin(start, self.session.root)
        except PrunetuiError as error:
            self.app.call_from_thread(self.notify, str(error), severity="error", timeout=10)
            draft, origin = draft_checks.begin("", self.session.root)
        catalogue()
        self.post_message(Begun(draft, origin, sections(self.session.device)))

    async def on_begun(self, message: Begun) -> None:
        if not self.sections:
            self.outside = Draft({"device": self.session.device})
        self.sections = message.sections
        self.clean = Draft(message.draft.data)
        self.origin = message.origin
        await self.take(message.draft)
        self.query_one(Nav).list_pages(self.sections)

    async def take(self, draft: Draft) -> None:
        """Edit another draft."""
        self.draft = draft
        await self.query_one(Pages).begin(draft, self.outside, self.sections)
        self.judge()

    # Pages ----------------------------------------------------------------------------------------

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        pages = self.query_one(Pages)
        if event.option_list.id == "nav" and event.option_id and event.option_id != pages.key:
            await pages.turn_to(event.option_id)
            self.show_side()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.action_enter_page()

    def action_enter_page(self) -> None:
        """Into the page on the right."""
        self.query_one(Pages).enter()

    def action_page(self, by: int) -> None:
        """Another page."""
        self.query_one(Nav).turn(by)

    async def action_back(self) -> None:
        """Out of what has the focus; from the list of pages, out of the study."""
        nav, pages = self.query_one(Nav), self.query_one(Pages)
        if nav.has_focus or not self.sections:
            self.ask_to_leave()
        elif not (await pages.close_method() or pages.clear_search()):
            nav.focus()

    # Checking -------------------------------------------------------------------------------------

    def on_form_edited(self) -> None:
        given_way = draft_checks.give_way(self.draft, self.clean) if self.origin.startswith("preset ") else []
        if given_way:
            self.query_one(Pages).show_again(given_way)
        self.judge()

    def on_method_picker_edited(self) -> None:
        self.judge()

    @property
    def unsaved(self) -> bool:
        """Whether something would be lost."""
        return self.draft != self.clean

    @property
    def settled(self) -> bool:
        """Whether what is shown is about what is typed; of a right study with its plan."""
        text, checked = self.draft.toml(), self.checked
        return checked is not None and checked.text == text and (bool(checked.mistakes) or self._planned == text)

    def judge(self) -> None:
        """Check what is typed, once nothing more is."""
        self.show_title()
        self._planned = ""
        self._judge(self.draft.toml(), str(self.outside.get(("device",)) or "auto"))

    @work(thread=True, exclusive=True, group="judge")
    def _judge(self, text: str, device: str) -> None:
        worker = get_current_worker()
        worker.cancelled_event.wait(PATIENCE)
        if worker.is_cancelled:
            return
        from prunetui.plan.estimate import estimate

        checked = draft_checks.check(text)
        self.post_message(Judged(checked, None))
        if checked.study is not None and not worker.is_cancelled:
            plan = estimate(checked.study, self.session.root, self.historian(checked.study, device))
            self.post_message(Judged(checked, plan))

    def on_judged(self, message: Judged) -> None:
        checked = message.checked
        if checked.text != self.draft.toml():
            return
        self.checked = checked
        if message.plan is not None or checked.mistakes:
            self.plan, self._planned = message.plan, checked.text
        self.query_one(Pages).show(checked, self.plan)
        self.query_one("#side-plan", PlanPane).show(checked, self.plan)
        self.query_one("#verdict", Static).update(self._verdict(checked))
        wrong = {self.query_one(Pages).page_of(mistake.path) for mistake in checked.mistakes}
        self.query_one(Nav).mark(self.sections, wrong, len(self.draft.methods))

    def show_title(self) -> None:
        """What the study began from, and whether it was changed since."""
        changed = "  changed" if self.unsaved else ""
        self.query_one("#title", Static).update(Text(f"new study from {self.origin}{changed}"))

    def _verdict(self, checked: Checked) -> Text:
        if checked.mistakes:
            first, count = checked.mistakes[0], len(checked.mistakes)
            words = f"{first.path + ': ' if first.path else ''}{first.message}"
            return Text.assemble((f"! {count} mistake{'s' if count > 1 else ''}  ", "bold #ff6b5e"), words)
        if self.plan is None:
            return Text("+ a study", "#3fb68b")
        words = f"{len(self.plan.trials)} trials, {self.plan.steps} steps, time {about_time(self.plan)}"
        return Text.assemble(("+ ready  ", "bold #3fb68b"), words)
